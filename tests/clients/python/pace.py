"""What the numbered producers share: their command line BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND, and their end."""

import sys
import time


class Pace:
    """The numbers 0 to COUNT-1, each due at its time."""

    def __init__(self):
        self.bootstrap, self.topic = sys.argv[1:3]
        self.count, self.rate = int(sys.argv[3]), int(sys.argv[4])
        self.start = time.monotonic()

    def wait_s(self, n):
        """Seconds until number `n` is due; negative when it is late."""
        return self.start + n / self.rate - time.monotonic()

    def end(self, acknowledged, failures):
        """Tells what came of them, and ends the process well if each was acknowledged."""
        print(f"acknowledged {acknowledged} of {self.count}")
        for failure in failures[:5]:
            print(repr(failure))
        sys.exit(0 if acknowledged == self.count else 1)
