"""Set limits and variables for a program and become it; it ends with who started it.

Standard library alone: nothing is trusted yet."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from forking import end_with_parent, limited, own_session  # noqa: E402 - beside this file


def main(arguments: list) -> None:
    """``launch.py '{"data_bytes": N, …, "environment": {…}}' COMMAND …``"""
    asked, command = json.loads(arguments[0]), arguments[1:]
    end_with_parent()
    own_session()
    limited(asked)
    kept = {} if os.name == "posix" else os.environ  # Windows starts nothing without some of its own
    os.execvpe(command[0], command, {**kept, **asked["environment"]})


if __name__ == "__main__":
    main(sys.argv[1:])
