"""
A resolver for the lab: lab_dns.py ADDRESS FILE LOG. FILE has lines "NAME ADDRESS..." and is read
again for each question; each question is a line in LOG. No TTL: an answer is good once. Between "|"
stand answers that take turns.
"""

import ipaddress
import itertools
import socket
import struct
import sys

A, AAAA = 1, 28
TURN = itertools.count()


def question(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), struct.unpack("!H", packet[at + 1 : at + 3])[0], at + 5


def answer(packet, table, log):
    name, kind, end = question(packet)
    known = {words[0]: words[1:] for words in map(str.split, open(table)) if words}
    turns = " ".join(known.get(name, ())).split("|")
    found = []
    for text in turns[next(TURN) % len(turns) if kind == A else 0].split():
        ip = ipaddress.ip_address(text)
        if kind == (A if ip.version == 4 else AAAA):
            found.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(ip.packed)) + ip.packed)
    log.write(f"{name} {kind} {len(found)}\n")
    flags = 0x8180 if name in known else 0x8183
    head = packet[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
    return head + packet[12:end] + b"".join(found)


def main():
    address, table, log_path = sys.argv[1:]
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 53))
    with open(log_path, "a", buffering=1) as log:
        print("ready", flush=True)
        while True:
            packet, peer = s.recvfrom(2048)
            s.sendto(answer(packet, table, log), peer)


main()
