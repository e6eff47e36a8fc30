# make BR2_EXTERNAL=.../packaging/buildroot menuconfig: under "External options".
include $(sort $(wildcard $(BR2_EXTERNAL_DEVID_PATH)/*/*.mk))
