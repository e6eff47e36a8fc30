"""A device by its settings file: enrols, goes on, renews, whatever is due; then writes the identity for servers."""

import sys

import devid

settings, folder = sys.argv[1:]
try:
    me = devid.Device(settings)
    kept = me.keep()
    certificate, key = me.files("device", folder)
except devid.Error as error:
    sys.exit(f"{error.details or error}")
print(f"{kept.done.name}; {certificate} and {key} are for ssl.SSLContext.load_cert_chain; again in {kept.again}")
