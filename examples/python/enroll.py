"""Enrols with a CMP server by reference value and secret: enroll.py URL REFERENCE SECRET ANCHORS.pem SUBJECT"""

import sys

import devid

url, reference, secret, anchors, subject = sys.argv[1:]
config = devid.Config(url, enrolment_anchors=open(anchors, "rb").read())
config.set_secret(reference.encode(), secret.encode())
key = devid.Key.generate("P-256")
try:
    issued = devid.Client(config).enroll(key, devid.Subject(subject)).run()
except devid.Error as error:
    sys.exit(f"no certificate: {error} {' '.join(error.server_texts)}")
print(key.export().decode(), issued.pem, sep="", end="")
