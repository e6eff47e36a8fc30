# In the tree: `vcpkg install devid --overlay-ports=packaging/vcpkg`. Rust (1.85 or newer) and cmake are taken from the machine.
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)
find_program(CARGO cargo PATHS "$ENV{HOME}/.cargo/bin" REQUIRED)

# The library has one build for both configurations of those who link it.
set(VCPKG_BUILD_TYPE release)

set(triple_x64 x86_64-unknown-linux-gnu)
set(triple_x86 i686-unknown-linux-gnu)
set(triple_arm64 aarch64-unknown-linux-gnu)
set(triple_arm armv7-unknown-linux-gnueabihf)
set(triple_riscv64 riscv64gc-unknown-linux-gnu)
set(triple "${triple_${VCPKG_TARGET_ARCHITECTURE}}")
if(NOT triple)
    message(FATAL_ERROR "devid is built for x64, x86, arm64, arm and riscv64, not for ${VCPKG_TARGET_ARCHITECTURE}")
endif()

set(features default)
if("pkcs11" IN_LIST FEATURES)
    string(APPEND features ",pkcs11")
endif()
set(built "${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}-rel")
vcpkg_execute_required_process(
    COMMAND "${CARGO}" build --locked --release --target "${triple}" --target-dir "${built}" -p devid-capi --features "${features}"
    WORKING_DIRECTORY "${SOURCE_PATH}"
    LOGNAME "build-${TARGET_TRIPLET}"
)
vcpkg_execute_required_process(
    COMMAND "${CMAKE_COMMAND}" -E env "PREFIX=${CURRENT_PACKAGES_DIR}" "DOCDIR=${CURRENT_PACKAGES_DIR}/share/devid/doc"
        sh bindings/c/install.sh "${built}/${triple}/release"
    WORKING_DIRECTORY "${SOURCE_PATH}"
    LOGNAME "install-${TARGET_TRIPLET}"
)
# A triplet is static or shared, and has no other one's files.
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
    file(GLOB others "${CURRENT_PACKAGES_DIR}/lib/libdevid.so*")
else()
    file(GLOB others "${CURRENT_PACKAGES_DIR}/lib/libdevid.a")
endif()
file(REMOVE ${others})

# devidConfig.cmake finds everything from its own place, which is where CMake looks too.
set(VCPKG_POLICY_SKIP_MISPLACED_CMAKE_FILES_CHECK enabled)
set(VCPKG_POLICY_SKIP_LIB_CMAKE_MERGE_CHECK enabled)
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-APACHE" "${SOURCE_PATH}/LICENSE-MIT")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/devid")
