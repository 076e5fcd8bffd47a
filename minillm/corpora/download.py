"""Fetch a file: all of it and the right one, or nothing."""
from __future__ import annotations

import errno
import hashlib
import time
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from minillm import disk
from minillm.waiting import beside

BLOCK = 1 << 16
MOST = 1 << 30  # bytes of one file, which is held in memory until it is known to be right
SLOWEST = 100  # bytes a second; a modem of 1990 brings more
PAUSE = 0.5  # seconds before another try, and once more for each that failed


class DownloadError(OSError):
    """A text could not be fetched; the message says why, and what to do."""


def fetch(url: str, path: Path, *, size: int, sha256: str, tries: int = 3, timeout: float = 20.0) -> Path:
    """Bring a file of known size and checksum to `path`, with a progress bar on stderr.

    It is written under another name and renamed once whole and right, so `path` never holds half a file.  A
    connection that breaks off, has not begun to answer after `timeout` seconds, or in that time brings fewer than
    SLOWEST bytes a second, is tried again, `tries` times in all.
    """
    if not url.startswith(("https://", "http://")):
        raise DownloadError(f"{path.name} is to be fetched from {url!r}, which is no address of the web; install "
                            f"minillm again, or point MINILLM_CORPORA at a folder that holds the file")
    if not 0 < size <= MOST:
        raise DownloadError(f"{path.name} is said to have {size:,} bytes, where a text has 1 to {MOST:,}; install "
                            f"minillm again, or point MINILLM_CORPORA at a folder that holds the file")
    for attempt in range(1, tries + 1):
        try:
            return _fetch_once(url, path, size=size, sha256=sha256, timeout=timeout)
        except HTTPError as error:
            reason = f"the server answered {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except URLError as error:
            reason = f"no connection: {error.reason}"
        except TimeoutError:
            reason = f"nothing came for {timeout:g} s"
        except (HTTPException, ConnectionError, ValueError) as error:  # the last: it leads to what is no address
            reason = str(error) or type(error).__name__
        if attempt < tries:
            time.sleep(PAUSE * attempt)
    raise DownloadError(f"could not fetch {path.name} from {url} ({reason}); check the connection and try again, "
                        f"take a text that ships (corpora.names(shipped=True)), or point MINILLM_CORPORA at a "
                        f"folder that holds {path.name}")


def _fetch_once(url: str, path: Path, *, size: int, sha256: str, timeout: float) -> Path:
    request = Request(url, headers={"User-Agent": "minillm"})
    try:  # its head, too, may drip in, each letter in time
        response = beside(partial(urlopen, request, timeout=timeout), seconds=timeout)
    except TimeoutError:
        raise ConnectionError(f"its answer had not begun after {timeout:g} s") from None
    with response:
        data, since, had = bytearray(), time.monotonic(), 0
        with tqdm(total=size, unit="B", unit_scale=True, desc=path.name, leave=False) as bar:
            while len(data) <= size and (block := response.read1(BLOCK)):  # as it comes: `read` waits for all of it
                data += block
                bar.update(len(block))
                if (waited := time.monotonic() - since) > timeout:
                    if len(data) - had < SLOWEST * waited:
                        raise ConnectionError(f"it brought {len(data) - had:,} bytes in {waited:.0f} s, too few")
                    since, had = time.monotonic(), len(data)
    if len(data) < size:
        raise ConnectionError(f"it broke off after {len(data):,} of {size:,} bytes")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DownloadError(f"what {url} sent is not the file that minillm knows (its sha256 differs), so it was not "
                            f"kept; open the address in a browser to see whether a proxy answers in its place")
    return _keep(path, data)


def _keep(path: Path, data: bytes | bytearray) -> Path:
    try:
        return disk.write(path, data)
    except OSError as error:
        way_out = "make room" if error.errno == errno.ENOSPC else "check its permissions"
        raise DownloadError(f"could not write {path} ({error.strerror}); {way_out}, or set MINILLM_CACHE to "
                            f"another folder") from error
