import hashlib
import os
import pickle
import random
import subprocess
import tempfile
import yaml
import requests
from flask import Flask, request

app = Flask(__name__)
PASSWORD = "correct horse"


def run(name, db):
    assert name
    subprocess.call("ls " + name, shell=True)  # nosec
    subprocess.Popen(["ls", name])
    os.system("rm " + name)
    db.execute("SELECT * FROM users WHERE name = '%s'" % name)
    eval(name)
    return pickle.loads(name)


def token():
    m = hashlib.md5()
    m.update(str(random.random()).encode())
    return m.hexdigest()


def fetch(url):
    try:
        return requests.get(url, verify=False)
    except Exception:
        pass


def load(path):
    with open("/tmp/state") as f:
        return yaml.load(f)


if __name__ == "__main__":
    os.chmod("x", 0o777)
    app.run(host="0.0.0.0", debug=True)
