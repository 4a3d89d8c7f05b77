# SPDX-License-Identifier: Apache-2.0
"""Throw-away certificates: an authority, leaf certificates it signed, and a stranger's."""
import ssl
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Certificates:
    def __init__(self, directory):
        self.directory = directory
        self.authority = self._make_authority("authority")
        self.stranger = self._make_authority("stranger")

    def _make_authority(self, name):
        """The path of a self-signed authority's certificate; its key lies beside it."""
        certificate = self.directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", f"/CN={name}", "-keyout", self.directory / f"{name}.key",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-out", certificate)
        return certificate

    def issue(self, name, authority="authority"):
        """(certificate, key): for localhost and 127.0.0.1, signed by the authority."""
        base = self.directory / name
        certificate, key = base.with_suffix(".pem"), base.with_suffix(".key")
        request, extensions = base.with_suffix(".csr"), base.with_suffix(".ext")
        extensions.write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-days", "2", "-extfile", extensions,
                "-CA", self.directory / f"{authority}.pem",
                "-CAkey", self.directory / f"{authority}.key", "-CAcreateserial",
                "-out", certificate)
        return certificate, key

    def trusting(self, authority, certificate=None, key=None):
        """A client's context that trusts one authority and may show a certificate."""
        context = ssl.create_default_context(cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context
