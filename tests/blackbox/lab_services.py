"""Services of one namespace of the lab: ssh and http banners, a silent port, an echo on udp 53."""

import socket
import threading

BANNERS = {
    22: b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    80: b"HTTP/1.0 200 OK\r\nServer: lab/1.0\r\nContent-Length: 20\r\n\r\n<title>lab</title>\r\n",
    443: b"",
}


def bound(family, kind, port):
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", port))
    return s


def answer(conn, banner):
    with conn:
        try:
            conn.settimeout(5)
            conn.sendall(banner)
            conn.recv(512)
        except OSError:
            pass


def tcp(s, banner):
    while True:
        conn, _ = s.accept()
        threading.Thread(target=answer, args=(conn, banner), daemon=True).start()


def udp(s):
    while True:
        data, peer = s.recvfrom(2048)
        s.sendto(data, peer)


def main():
    for family in (socket.AF_INET, socket.AF_INET6):
        for port, banner in BANNERS.items():
            s = bound(family, socket.SOCK_STREAM, port)
            s.listen(128)
            threading.Thread(target=tcp, args=(s, banner), daemon=True).start()
        s = bound(family, socket.SOCK_DGRAM, 53)
        threading.Thread(target=udp, args=(s,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main()
