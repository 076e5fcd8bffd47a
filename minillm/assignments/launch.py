"""Set limits for a program and become it.  Standard library alone: it runs before anything is trusted."""

import json
import os
import sys


def main(arguments: list) -> None:
    """``launch.py '{"data_bytes": N, …}' COMMAND …``: what is not offered by the system is left out."""
    limits, command = json.loads(arguments[0]), arguments[1:]
    try:
        import resource
    except ImportError:  # Windows
        resource = None
    for name, key in (("RLIMIT_CPU", "cpu_seconds"), ("RLIMIT_DATA", "data_bytes"),
                      ("RLIMIT_FSIZE", "file_bytes"), ("RLIMIT_CORE", "core_bytes")):
        if resource and hasattr(resource, name) and limits.get(key) is not None:
            resource.setrlimit(getattr(resource, name), (limits[key], limits[key]))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
