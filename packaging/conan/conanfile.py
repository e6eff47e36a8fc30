"""A recipe for Conan 2. In the tree: `conan create packaging/conan`; Rust (1.85 or newer) and, but for the portable provider, cmake
are taken from the machine."""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, load

# What Rust calls the machines that Conan names.
TRIPLES = {
    "x86_64": "x86_64-unknown-linux",
    "x86": "i686-unknown-linux",
    "armv8": "aarch64-unknown-linux",
    "armv7hf": "armv7-unknown-linux",
    "riscv64": "riscv64gc-unknown-linux",
}


class Devid(ConanFile):
    name = "devid"
    license = "Apache-2.0 OR MIT"
    description = "How a device gets, keeps and checks its identity in a PKI (CMP, RFC 9810)"
    topics = ("cmp", "pki", "x509", "certificates", "iot")
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "provider": ["awslc", "rust"],
        "profile": ["release", "small", "dev"],
        "pkcs11": [True, False],
    }
    default_options = {"shared": False, "provider": "awslc", "profile": "release", "pkcs11": True}
    package_type = "library"

    @property
    def _tree(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        constants = load(self, os.path.join(self._tree, "bindings", "c", "constants.txt"))
        self.version = re.search(r'^DEVID_VERSION_STRING (\S+)', constants, re.M).group(1)

    def export_sources(self):
        # What git keeps, and nothing that was built.
        names = [name for name in os.listdir(self._tree) if name not in ("target", "build", ".git")]
        for name in names:
            place = os.path.join(self._tree, name)
            if os.path.isdir(place):
                copy(self, "*", place, os.path.join(self.export_sources_folder, name), excludes=("*/target/*", "*.pyc"))
            else:
                copy(self, name, self._tree, self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux" or str(self.settings.arch) not in TRIPLES:
            raise ConanInvalidConfiguration("devid is built for Linux on " + ", ".join(sorted(TRIPLES)))
        if self.options.profile == "small" and self.options.provider == "awslc":
            raise ConanInvalidConfiguration("the profile small is of the portable provider: -o devid/*:provider=rust")

    @property
    def _is_cross(self):
        return str(self.settings.arch) != str(getattr(self, "settings_build", self.settings).arch)

    @property
    def _triple(self):
        libc = "musl" if self.settings.get_safe("compiler.libcxx") == "musl" else "gnu"
        return f"{TRIPLES[str(self.settings.arch)]}-{libc}" + ("eabihf" if self.settings.arch == "armv7hf" else "")

    @property
    def _features(self):
        all_of_rust = "crypto-rust,http,coap,ldap,legacy-ciphers,unicode-names,identifier-names,settings,enveloped,pkcs12,inspect,ra,status-fetch,import,export,probe"
        few = "crypto-rust-p256,http,settings"
        rust = few if self.options.profile == "small" else all_of_rust
        words = ["--no-default-features", "--features", rust] if self.options.provider == "rust" else ["--features", "default"]
        if self.options.pkcs11:
            words[-1] += ",pkcs11"
        return " ".join(words)

    def build(self):
        target = f"--target {self._triple}" if self._is_cross else ""
        self.run(
            f"cargo build --locked --profile {self.options.profile} {target} -p devid-capi {self._features}",
            cwd=self.source_folder,
        )

    def package(self):
        home = os.environ.get("CARGO_TARGET_DIR", os.path.join(self.source_folder, "target"))
        profile = "debug" if self.options.profile == "dev" else str(self.options.profile)
        built = os.path.join(home, *([self._triple] if self._is_cross else []), profile)
        self.run(
            f'PREFIX="{self.package_folder}" DOCDIR="{self.package_folder}/licenses" sh bindings/c/install.sh "{built}"',
            cwd=self.source_folder,
        )
        library = os.path.join(self.package_folder, "lib")
        for name in os.listdir(library):
            if (".so" in name) != bool(self.options.shared) and name.startswith("libdevid."):
                os.remove(os.path.join(library, name))

    def package_info(self):
        self.cpp_info.libs = ["devid"]
        self.cpp_info.set_property("cmake_file_name", "devid")
        self.cpp_info.set_property("cmake_target_name", "devid::devid")
        self.cpp_info.set_property("pkg_config_name", "devid")
        if not self.options.shared:
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
