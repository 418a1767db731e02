"""The built gateway as a child process on free ports, with a data directory of its own."""

import os
import pathlib
import re
import subprocess
import tempfile
import time

READY_S = 30


class Gateway:
    """Use as a context manager: the process ends with the block, however that ends."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.process = None
        self.url = None

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.kill()
        if kind is not None:
            log = pathlib.Path(self.dir.name, "log").read_text(errors="replace")
            print("the gateway's log ends:\n" + log[-4000:])
        self.dir.cleanup()

    def start(self):
        place = pathlib.Path(self.dir.name)
        flags = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", str(place / "data")]
        with open(place / "log", "ab") as log, open(place / "ready", "wb") as ready:
            self.process = subprocess.Popen(
                [os.environ["THRONG_EDGE_BIN"], *flags, *self.arguments],
                stdin=subprocess.DEVNULL, stdout=ready, stderr=log)
        deadline = time.monotonic() + READY_S
        while not (line := (place / "ready").read_text()).endswith("\n"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("not ready:\n" + (place / "log").read_text()[-4000:])
            time.sleep(0.01)
        self.url = re.search(r"ws=(\S+)", line).group(1)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def kill_and_restart(self):
        self.kill()
        self.start()
