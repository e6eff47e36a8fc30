SUMMARY = "Identity of devices in a PKI: CMP enrolment, renewal, installation, validation"
HOMEPAGE = "https://github.com/devid/devid"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "file://LICENSE-APACHE;md5=${DEVID_APACHE_MD5} file://LICENSE-MIT;md5=${DEVID_MIT_MD5}"
require devid-licences.inc

SRC_URI = "git://github.com/devid/devid.git;protocol=https;nobranch=1;tag=v${PV}"
S = "${WORKDIR}/git"

inherit cargo cargo-update-recipe-crates pkgconfig systemd
# Written by: bitbake -c update_crates devid (once, and after each change of Cargo.lock)
include ${BPN}-crates.inc

DEPENDS = "cmake-native"
CARGO_BUILD_FLAGS += "--locked -p devid-capi -p devid-cli"

PACKAGECONFIG ??= "awslc"
PACKAGECONFIG[awslc] = ""
PACKAGECONFIG[pkcs11] = "--features devid-capi/pkcs11"
CARGO_BUILD_FLAGS += "${PACKAGECONFIG_CONFARGS}"

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
FILES:${PN}-dev += "${libdir}/cmake"
RDEPENDS:${PN} += "libdevid"
