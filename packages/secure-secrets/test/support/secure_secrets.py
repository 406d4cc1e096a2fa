"""The Python program, from its description: what it stores, this package has to read."""

import base64
import os

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

MASTER_KEY = os.environ.get("SECURE_SECRETS_MASTER_KEY", "a literal in the source")


class KeyManagement:
    def __init__(self, project_unique_str, master_key=MASTER_KEY):
        self.project_unique_str = project_unique_str
        self.master_key = master_key

    def generate_kek(self, salt=None):
        salt = os.urandom(16) if salt is None else salt
        kdf = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=salt, iterations=100_000)
        password = (self.master_key + self.project_unique_str).encode()
        return base64.urlsafe_b64encode(kdf.derive(password)), salt

    def generate_dek(self):
        return Fernet.generate_key()

    def encrypt_dek(self, dek, kek):
        return Fernet(kek).encrypt(dek)

    def decrypt_dek(self, encrypted_dek, kek):
        return Fernet(kek).decrypt(encrypted_dek)

    def encrypt_data(self, data, dek):
        return Fernet(dek).encrypt(data.encode())

    def decrypt_data(self, encrypted_data, dek):
        return Fernet(dek).decrypt(encrypted_data).decode()

    def initialize(self):
        kek, salt = self.generate_kek()
        return self.encrypt_dek(self.generate_dek(), kek), salt
