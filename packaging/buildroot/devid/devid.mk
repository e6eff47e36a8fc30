################################################################################
#
# devid
#
################################################################################

DEVID_VERSION = 0.1.0
DEVID_SITE = https://github.com/devid/devid/archive/refs/tags
DEVID_SOURCE = v$(DEVID_VERSION).tar.gz
DEVID_LICENSE = Apache-2.0 or MIT
DEVID_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT
DEVID_INSTALL_STAGING = YES
DEVID_DEPENDENCIES = host-pkgconf

DEVID_CARGO_BUILD_OPTS = -p devid-capi
# Of .cargo/config.toml, in whose place Buildroot puts one of its own.
DEVID_CARGO_ENV = AWS_LC_SYS_NO_JITTER_ENTROPY=1
DEVID_BUILT = $(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)

ifeq ($(BR2_PACKAGE_DEVID_SMALL),y)
DEVID_CARGO_BUILD_OPTS += --no-default-features --features crypto-rust,http
else
DEVID_CARGO_BUILD_OPTS += -p devid-cli
DEVID_DEPENDENCIES += host-cmake
endif

define DEVID_INSTALL_STAGING_CMDS
	PREFIX=/usr DESTDIR=$(STAGING_DIR) CROSS_COMPILE=$(TARGET_CROSS) \
		sh $(@D)/bindings/c/install.sh $(DEVID_BUILT)
endef

define DEVID_INSTALL_TARGET_CMDS
	PREFIX=/usr DESTDIR=$(TARGET_DIR) CROSS_COMPILE=$(TARGET_CROSS) \
		sh $(@D)/bindings/c/install.sh $(DEVID_BUILT)
	if [ -e $(DEVID_BUILT)/devid ]; then \
		$(INSTALL) -D -m 755 $(DEVID_BUILT)/devid $(TARGET_DIR)/usr/bin/devid; fi
endef

define DEVID_INSTALL_INIT_SYSTEMD
	$(INSTALL) -d $(TARGET_DIR)/usr/lib/systemd/system
	$(INSTALL) -m 644 $(@D)/packaging/systemd/* $(TARGET_DIR)/usr/lib/systemd/system
endef

$(eval $(cargo-package))
