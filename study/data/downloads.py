"""Files downloaded on demand from a fixed address, kept in a cache folder, their SHA-256 checked at every use."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from study.data.folders import folder
from study.disk import writing
from study.errors import ConfigError, Unwritable

if TYPE_CHECKING:
    from study.schema.run import DataConfig

TIMEOUT = 30.0
"""Seconds a server may stay silent."""


class Download(NamedTuple):
    """A public file that never changes.

    Attributes:
        url: of one version, so that it stays what it is.
        sha256: of the file, in hexadecimal digits.
        name: in the cache folder.
    """

    url: str
    sha256: str
    name: str


def fetched(data: "DataConfig", download: Download) -> Path:
    """Return the path of the file in the cache folder, after downloading it if it is missing or has another hash.

    pooch writes to a temporary name and moves the file only when it is whole and its hash is right.

    Raises:
        ConfigError: the download failed; the message has all that is needed to put the file there by hand.
    """
    import pooch

    cache, name = folder(data.cache, "cache"), download.name
    try:
        pooch.get_logger().setLevel("WARNING")
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
        with writing(cache):
            return Path(pooch.retrieve(download.url, f"sha256:{download.sha256}", name, cache, downloader=downloader))
    except Unwritable as error:
        place, why, remedy = error.args
        raise Unwritable(f"data.cache = {data.cache!r}: {place}", why, remedy) from error
    except (OSError, ValueError) as error:  # requests' exceptions are OSErrors; a wrong hash is a ValueError
        raise ConfigError(
            f"data.cache = {data.cache!r}: {cache / name} is not there or not the right file, and the download "
            f"failed ({error}); get {download.url} and put it there, its SHA-256 must be {download.sha256}"
        ) from error
