#!/usr/bin/python3
"""How long python-nmap (python3-nmap) takes for a file: parse_peers.py PATH. MB/s, best of 2."""
import os
import sys
import time

import nmap


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        text = f.read()
    best = 0.0
    for _ in range(2):
        begin = time.process_time()
        result = nmap.PortScanner().analyse_nmap_xml_scan(text)
        rate = os.path.getsize(sys.argv[1]) / 1e6 / (time.process_time() - begin)
        best = max(best, rate)
    print(f"python-nmap            {best:8.1f} MB/s   {len(result['scan'])} hosts")


if __name__ == "__main__":
    main()
