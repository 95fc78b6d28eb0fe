"""Prepare everything the tests and the demo need; quick when nothing is missing."""

import environment
from postgres import TESTS


def prepare(cluster=TESTS):
    """Make what is missing.

    :return: (the Odoo to run, whether this call started PostgreSQL)
    """
    odoo = environment.choose_odoo()
    environment.say(f"Odoo {odoo.series}: {odoo.why}")
    environment.ensure_odoo_venv(odoo)
    environment.ensure_port(odoo)
    return odoo, cluster.start()


if __name__ == "__main__":
    prepare()
