"""Run the marketplace: ``python -m tests.simulator --port 0``.

Its first line is ``LISTENING <address>``; people open that address in a browser.
"""

import argparse
import logging
import signal
import sys

from werkzeug.serving import make_server

from .app import create_app
from .keeping import Keeper, Unreadable, seed


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1", help="nothing guards the control API")
    arguments.add_argument("--port", type=int, default=0, help="0: any free one")
    arguments.add_argument("--log-level", default="INFO")
    arguments.add_argument(
        "--state", metavar="FILE", help="keep accounts, listings and orders there over restarts"
    )
    arguments.add_argument("--seed", metavar="FILE", help="accounts, listings and orders of an empty start")
    options = arguments.parse_args()
    logging.basicConfig(level=options.log_level, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(options.log_level)  # it sets its own where it finds none
    # Set both: a shell starts background processes with SIGINT ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    app = create_app()
    try:
        keeper = fill(app, options)
    except Unreadable as error:
        sys.exit(str(error))
    server = make_server(options.host, options.port, app, threaded=True)
    print(f"LISTENING http://{options.host}:{server.server_port}", flush=True)
    server.serve_forever()
    if keeper:
        keeper.save()


def fill(app, options):
    """Give the marketplace what it starts with: what was kept, else the seed.

    :return: Keeper or None
    """
    keeper = Keeper(app, options.state) if options.state else None
    if not (keeper and keeper.load()) and options.seed:
        seed(app, options.seed)
    if keeper:
        keeper.save()  # a place that cannot be written to shows at once
        keeper.start()
    return keeper


if __name__ == "__main__":
    main()
