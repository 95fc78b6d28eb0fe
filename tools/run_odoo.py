"""Odoo's command line. Prefork Odoo starts its socket server as "<this file> gevent": -m odoo is no file."""

import os

# As Odoo's own script does, and before anything looks at the clock.
os.environ["TZ"] = "UTC"

from odoo.cli import main

if __name__ == "__main__":
    main()
