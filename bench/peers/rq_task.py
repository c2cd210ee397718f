"""What RQ's workers run."""


def noop():
    return None
