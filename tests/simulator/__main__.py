"""Run the marketplace: ``python -m tests.simulator --port 0``."""

import argparse
import logging
import signal
import sys

from werkzeug.serving import make_server

from .app import create_app


def main():
    arguments = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1", help="nothing guards the control API")
    arguments.add_argument("--port", type=int, default=0, help="0: any free one")
    arguments.add_argument("--log-level", default="INFO")
    options = arguments.parse_args()
    logging.basicConfig(level=options.log_level, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(options.log_level)  # it sets its own where it finds none
    # Set both: a shell starts background processes with SIGINT ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    server = make_server(options.host, options.port, create_app(), threaded=True)
    print(f"LISTENING http://{options.host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
