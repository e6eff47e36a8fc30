SUMMARY = "Identity of devices in a PKI: CMP enrolment, renewal, installation, validation"
DESCRIPTION = "Gets a device its certificate from a CA by CMP (RFC 9810 and RFC 9483), keeps it up, installs it so that no power cut loses it, and validates the certificates of others."
HOMEPAGE = "https://github.com/devid/devid"
SECTION = "net"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "file://LICENSE-APACHE;md5=${DEVID_APACHE_MD5} file://LICENSE-MIT;md5=${DEVID_MIT_MD5}"
require devid-licences.inc

# The archive of the release; its sum is told by bitbake at the first fetch.
SRC_URI = "https://github.com/devid/devid/archive/refs/tags/v${PV}.tar.gz;downloadfilename=${BP}.tar.gz"
# Before styhead there is no UNPACKDIR.
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/${BP}"

inherit cargo cargo-update-recipe-crates pkgconfig systemd
# Written by: bitbake -c update_crates devid (once, and after each change of Cargo.lock)
include ${BPN}-crates.inc

DEPENDS += "cmake-native"
CARGO_BUILD_FLAGS += "--locked -p devid-capi -p devid-cli"
# Of .cargo/config.toml, which a build outside the tree does not read.
export AWS_LC_SYS_NO_JITTER_ENTROPY = "1"

# bitbake adds the words of those that are chosen to the call of cargo.
PACKAGECONFIG ??= ""
PACKAGECONFIG[pkcs11] = "--features devid-capi/pkcs11"

SYSTEMD_PACKAGES = "${PN}"
SYSTEMD_SERVICE:${PN} = "devid-keep.timer"

do_install() {
    PREFIX=${prefix} LIBDIR=${libdir} INCLUDEDIR=${includedir} DESTDIR=${D} CROSS_COMPILE=${TARGET_PREFIX} \
        sh ${S}/bindings/c/install.sh ${B}/target/${CARGO_TARGET_SUBDIR}
    install -D -m 755 ${B}/target/${CARGO_TARGET_SUBDIR}/devid ${D}${bindir}/devid
    install -d ${D}${systemd_system_unitdir}
    install -m 644 ${S}/packaging/systemd/* ${D}${systemd_system_unitdir}
}

PACKAGES =+ "libdevid"
FILES:libdevid = "${libdir}/libdevid.so.*"
RDEPENDS:${PN} += "libdevid"
