#!/usr/bin/env python3
"""Writes a C program that calls every function of devid.h with each pointer NULL in turn.

Where the header says "Not NULL" the answer must be DEVID_E_NULL with an error object and empty outputs; where it says "May be
NULL" the call must come back. A new handle type needs a line in FIXTURES; a text or bytes parameter that the defaults do not
suit needs one in SAMPLES.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import header  # noqa: E402

def once(pairs):
    """A table in which nothing is said twice: the first would be lost."""
    twice = [name for index, (name, _) in enumerate(pairs) if name in [other for other, _ in pairs[:index]]]
    if twice:
        sys.exit(f"null_walk: said twice: {', '.join(map(str, twice))}")
    return dict(pairs)


# How to make one of each handle; earlier ones may be used. {x} is the variable.
FIXTURES = once([
    ("devid_error", "(void)!devid_key_generate(\"?\", &unused_key, &{x})"),
    ("devid_key", "OK(devid_key_generate(\"P-256\", &{x}, &err))"),
    ("devid_bytes", "OK(devid_key_public(fix_devid_key, &{x}, &err))"),
    ("devid_cert", "OK(devid_cert_parse(pem, pem_len, &{x}, &err))"),
    ("devid_cert_list", "OK(devid_cert_list_new(&{x}, &err)); OK(devid_cert_list_add({x}, fix_devid_cert, &err))"),
    ("devid_subject", "OK(devid_subject_new(&{x}, &err)); OK(devid_subject_set_name({x}, \"CN=a\", &err))"),
    ("devid_config", "OK(devid_config_new(&{x}, &err)); OK(devid_config_add_enrolment_anchors({x}, pem, pem_len, &err)); "
                    "OK(devid_config_set_server({x}, \"http://127.0.0.1:9/\", &err)); "
                    "OK(devid_config_set_secret({x}, pem, 4, pem, 20, &err))"),
    ("devid_client", "OK(devid_client_new(fix_devid_config, &{x}, &err))"),
    ("devid_probe_result", "if (devid_supports(\"http\") && devid_supports(\"probe\")) OK(devid_probe_server(fix_devid_config, 1800000000, &{x}, &err))"),
    ("devid_trust", "OK(devid_trust_new(&{x}, &err)); OK(devid_trust_add_bytes({x}, ca, ca_len, &err))"),
    ("devid_validator", "OK(devid_validator_new(fix_devid_trust, &{x}, &err)); "
                       "OK(devid_validator_set_any_name({x}, &err)); OK(devid_validator_set_any_purpose({x}, &err))"),
    ("devid_report", "OK(devid_validate(fix_devid_validator, fix_devid_cert, 1800000000, &{x}, NULL, &err))"),
    ("devid_peer", "OK(devid_validate(fix_devid_validator, fix_devid_cert, 1800000000, NULL, &{x}, &err))"),
    ("devid_ocsp_request", "OK(devid_ocsp_request_new(fix_devid_cert, fix_devid_cert, \"SHA1\", 1, &{x}, &err))"),
    ("devid_store_options", "OK(devid_store_options_new(&{x}, &err))"),
    ("devid_store", "OK(devid_key_load(pem_key, pem_key_len, NULL, 0, &key_of_device, &err)); OK(devid_store_open_dir(folder_for_store(), NULL, 0, &{x}, &err))"),
    ("devid_fetcher", "OK(devid_fetcher_new(fix_devid_store, &{x}, &err))"),
    ("devid_crl_stream", "OK(devid_crl_stream_new(fix_devid_cert_list, &{x}, &err))"),
    ("devid_identity", "OK(devid_key_load(pem_key, pem_key_len, NULL, 0, &unused_key, &err)); "
                      "OK(devid_store_install(fix_devid_store, \"a\", unused_key, NULL, fix_devid_cert, NULL, \"ldevid\", 1, &err)); "
                      "devid_key_free(unused_key); OK(devid_store_current(fix_devid_store, \"a\", &{x}, &err))"),
    ("devid_problems", "OK(devid_problems_of_store(fix_devid_store, 0, &{x}, &err))"),
    ("devid_differences", "OK(devid_differences_of_identity(fix_devid_identity, &{x}, &err))"),
    ("devid_export", "OK(devid_export_new(\"nginx\", \"/nonexistent/devid\", &{x}, &err))"),
    ("devid_request", "OK(devid_request_new(fix_devid_key, fix_devid_subject, NULL, NULL, &{x}, &err))"),
    ("devid_template", "OK(devid_template_parse((const uint8_t *)\"0\\0020\\0\", 4, &{x}, &err))"),
    ("devid_renewal", "OK(devid_renewal_new(fix_devid_config, \"b\", \"ldevid\", &{x}, &err))"),
    ("devid_device", "OK(devid_device_new(device_folder(), &{x}, &err))"),
    ("devid_cancel", "OK(devid_cancel_new(&{x}, &err))"),
    ("devid_op", "OK(devid_op_enroll(fix_devid_client, fix_devid_key, fix_devid_subject, &{x}, &err))"),
    ("devid_saved", "OK(devid_op_step(fix_devid_op, 1800000000, &unused_action, &err)); "
                   "OK(devid_op_save(fix_devid_op, &saved_op, &err)); "
                   "OK(devid_saved_read(devid_bytes_data(saved_op), devid_bytes_len(saved_op), &{x}, &err)); devid_bytes_free(saved_op)"),
    ("devid_view", "OK(devid_op_view(fix_devid_op, &{x}, &err))"),
    ("devid_http_call", "if (devid_supports(\"http\")) OK(devid_op_http_call(fix_devid_op, &{x}, &err))"),
    ("devid_reply", "OK(devid_reply_new(&{x}, &err))"),
    ("devid_ra", "OK(devid_config_add_cmp_anchors(fix_devid_config, ca, ca_len, &err)); "
                "OK(devid_key_load(pem_key, pem_key_len, NULL, 0, &unused_key, &err)); "
                "OK(devid_config_set_credential(fix_devid_config, unused_key, fix_devid_cert_list, &err)); devid_key_free(unused_key); "
                "OK(devid_client_new(fix_devid_config, &client_of_ra, &err)); OK(devid_ra_new(client_of_ra, fix_devid_trust, &{x}, &err)); "
                "devid_client_free(client_of_ra); OK(devid_ra_add_secret({x}, pem, 4, pem, 20, &err))"),
    ("devid_ra_request", "OK(devid_op_step(fix_devid_op, 1800000000, &unused_action, &err)); "
                        "message_of_device = devid_op_output(fix_devid_op, &message_len); "
                        "OK(devid_ra_check(fix_devid_ra, NULL, message_of_device, message_len, 1800000000, &{x}, &err))"),
    ("devid_ra_batch", "OK(devid_ra_batch_new(&{x}, &err)); OK(devid_ra_batch_add({x}, fix_devid_ra_request, &err))"),
])

# Handles that only callbacks are lent: none is made here, and calls with one are calls with NULL.
LENT = {"devid_new_key"}

# Parameters that may be NULL under a condition, which the other arguments here do not fulfil: DEVID_E_NULL is the right answer.
CONDITIONAL = {
    ("devid_config_set_proxy_login", "password"),
    ("devid_op_enroll_central", "subject"),
    ("devid_op_set_files", "name"),
    ("devid_renewal_set_files", "name"),
}

# (function or *, parameter): C expression for a value that is fine.
SAMPLES = once([
    (("devid_key_generate", "kind"), '"P-256"'),
    (("*", "module"), '"/nonexistent/module.so"'),
    (("*", "uri"), '"pkcs11:object=a"'),
    (("devid_key_generate_pkcs11", "kind"), '"P-256"'),
    (("*", "algorithm"), '"ECDSA-SHA256"'),
    (("*", "feature"), '"http"'),
    (("*", "form"), "DEVID_FORM_DER"),
    (("*", "hardware_type"), '"1.2.3.4"'),
    (("devid_store_put_request", "name"), '"waiting"'),
    (("devid_store_import", "name"), '"waiting"'),
    (("devid_store_import_checked", "name"), '"waiting"'),
    (("devid_op_set_files", "folder"), '"/tmp"'),
    (("devid_op_set_files", "name"), '"device"'),
    (("*", "iterations"), "1000"),
    (("*", "index"), "0"),
    (("*", "status"), "DEVID_E_DER"),
    (("*", "spki"), "devid_bytes_data(fix_devid_bytes)"),
    (("devid_op_enroll_central", "request"), '"ir"'),
    (("devid_op_enroll_central", "key_kind"), '"P-256"'),
    (("*", "possession"), '"encrCert"'),
    (("*", "spki_len"), "devid_bytes_len(fix_devid_bytes)"),
    (("*", "url"), '"http://127.0.0.1:9/"'),
    (("devid_export_set_mac", "mac"), '"HMAC"'),
    (("devid_export_new", "layout"), '"nginx"'),
    (("devid_pkcs12_write", "mac"), '"HMAC"'),
    (("devid_pkcs12_write", "key"), "key_of_device"),
    (("*", "derivation"), '"SHA256"'),
    (("*", "mac"), '"SHA256"'),
    (("*", "name"), '"CN=name"'),
    (("*", "identifier"), '"1.2.3.4"'),
    (("*", "now"), "1800000000"),
    (("*", "time"), "1800000000"),
    (("*", "spread_permille"), "0"),
    (("*", "at"), "1800000000"),
    (("*", "digest"), '"SHA1"'),
    (("*", "usage"), '"digitalSignature"'),
    (("*", "purpose"), '"clientAuth"'),
    (("*", "policy"), '"1.2.3"'),
    (("*", "use_for"), '"peer"'),
    (("devid_template_parse", "der"), '(const uint8_t *)"0\\0020\\0"'),
    (("devid_template_parse", "der_len"), "4"),
    (("*", "serial"), '"1f"'),
    (("devid_op_revoke_serial", "issuer"), '"CN=issuer"'),
    (("devid_op_revoke_with_passphrase", "issuer"), '"CN=issuer"'),
    (("*", "crl"), "crl"),
    (("devid_config_add_signer_crls", "crls"), "crl"),
    (("devid_config_add_signer_crls", "crls_len"), "crl_len"),
    (("*", "crl_len"), "crl_len"),
    (("devid_store_put_blob", "name"), '"blob"'),
    (("devid_store_blob", "name"), '"blob"'),
    (("devid_store_remove_blob", "name"), '"blob"'),
    (("devid_store_raise_number", "name"), '"number"'),
    (("devid_store_number", "name"), '"number"'),
    (("*", "max_len"), "1000"),
    (("devid_op_set_datagrams", "send"), "0"),
    (("devid_op_set_datagrams", "receive"), "0"),
    (("devid_renewal_set_datagrams", "send"), "0"),
    (("devid_renewal_set_datagrams", "receive"), "0"),
    (("*", "mend"), "0"),
    (("devid_store_open_dir", "path"), "store_folder"),
    (("*", "nonce"), "DEVID_NONCE_REQUIRED"),
    (("devid_ocsp_request_new", "nonce"), "1"),
    (("*", "schemes"), '"ldap"'),
    (("*", "store_url"), '"http://127.0.0.1:9/"'),
    (("*", "attribute"), '"uri"'),
    (("devid_fetcher_set_limit", "name"), '"max_requests"'),
    (("devid_store_open", "path"), "store_folder"),
    (("devid_device_new", "memory_folder"), "device_folder()"),
    (("*", "count"), "2"),
    (("devid_validator_add_name", "name"), '"router-7.example"'),
    (("devid_validator_add_crls", "data"), "crl"),
    (("devid_validator_add_crls", "data_len"), "crl_len"),
    (("devid_config_add_enrolment_anchors", "data"), "ca"),
    (("devid_config_add_enrolment_anchors", "data_len"), "ca_len"),
    (("devid_config_set_limit", "name"), '"max_polls"'),
    (("devid_config_set_tolerance", "name"), '"wrong_sender_kid"'),
    (("devid_config_set_profile", "name"), '"ejbca"'),
    (("*", "http_status"), "503"),
    (("*", "interval_seconds"), "3600"),
    (("devid_error_new", "code"), "DEVID_E_BUSY"),
    (("devid_validator_set_budget", "name"), '"steps"'),
    (("devid_renewal_set_new_key", "kind"), '"P-256"'),
    (("devid_key_load", "data"), "devid_bytes_data(pkcs8)"),
    (("devid_key_load", "data_len"), "devid_bytes_len(pkcs8)"),
])


def sample(function, parameter):
    for key in ((function.name, parameter.name), ("*", parameter.name)):
        if key in SAMPLES:
            return SAMPLES[key]
    ctype, name = parameter.ctype, parameter.name
    if ctype == "const uint8_t *":
        return "pem"
    if ctype == "size_t" and name.endswith("_len"):
        return "pem_len"
    if ctype == "const char *":
        return '"text"'
    if ctype in ("int32_t", "uint32_t", "int64_t", "size_t") or re.fullmatch(r"devid_(status|class|action)", ctype):
        return "1"
    if ctype == "void *":
        return "&unused_user"
    if ctype == "devid_destroy_fn":
        return "0"
    if ctype.endswith("_fn"):
        return f"stub_{ctype}"
    handle = re.fullmatch(r"(?:const )?(devid_\w+) \*", ctype)
    if handle:
        return f"fix_{handle[1]}"
    sys.exit(f"null_walk: no sample for {function.name}({ctype} {name})")


def call(function, null, number):
    """One call with the parameters in `null` NULL."""
    lines, arguments, checks, after = [], [], [], []
    names = {p.name for p in null}
    for index, parameter in enumerate(function.parameters):
        out = re.fullmatch(r"(\w+(?: \*)?) ?\*", parameter.ctype.replace("**", "* *"))
        is_out = parameter.name.startswith("out_")
        if parameter.name == "err":
            arguments.append("NULL" if "err" in names else "&err")
        elif parameter.name in names:
            arguments.append("NULL")
        elif is_out and out:
            variable = f"o{index}"
            if out[1].endswith("*"):
                lines.append(f"{out[1]}{variable} = ({out[1]})&unused_user;")
                if out[1].startswith("devid_"):
                    after.append(f"{out[1].rstrip(' *')}_free({variable});")
            else:
                lines.append(f"{out[1]} {variable} = 77;")
            checks.append(f"CHECK({variable} == 0);")
            arguments.append(f"&{variable}")
        elif parameter.ctype == "size_t" and parameter.name.endswith("_len") and any(
                p.name == parameter.name[:-4] and p.may_be_null for p in null):
            arguments.append("0")
        else:
            arguments.append(sample(function, parameter))
    expression = f"{function.name}({', '.join(arguments)})"
    label = f"{function.name}: {' '.join(sorted(names)) or 'nothing'} NULL"
    lines.insert(0, f'at = "{label}";')
    must_fail = function.is_fallible and any(p.not_null for p in null)
    if must_fail:
        # Only outputs that come before the one that is NULL, and all others, are written: every path writes them.
        lines.append(f"status = {expression};")
        lines.append("if (status != DEVID_E_NULL) wrong(devid_status_name(status));")
        if "err" not in names:
            lines.append("CHECK(err != NULL && devid_error_code(err) == status);")
        lines += checks
    elif function.is_fallible:
        lines.append(f"status = {expression};")
        # Whatever else fails: nothing is missing, and nothing breaks.
        lent = any(re.search(rf"\b{handle} \*", p.ctype) for p in function.parameters for handle in LENT)
        is_missing = lent or any((function.name, name) in CONDITIONAL for name in names)
        lines.append(f"if (status == DEVID_E_PANIC || (status == DEVID_E_NULL) != {int(is_missing)}) wrong(devid_status_name(status));")
        lines += after
    elif function.result == "void":
        lines.append(f"{expression};")
    else:
        lines.append(given(function, names, expression))
    lines.append("devid_error_free(err); err = NULL;")
    return f"static void call_{number}(void)\n{{\n    " + "\n    ".join(declarations_first(lines)) + "\n}\n"


def given(function, names, expression):
    """A getter, and what it gives by its documentation for a handle that is NULL."""
    said = [re.search(r"\(gives ([^)]*)\)", p.doc) for p in function.parameters if p.name in names]
    values = {found[1] for found in said if found}
    if not values:
        return f"(void){expression};"
    if len(values) > 1 or not re.fullmatch(r'""|NULL|-?\d+|DEVID_\w+', *values):
        sys.exit(f"null_walk: {function.name} gives {values}: not understood")
    value = values.pop()
    test = f"strcmp({expression}, \"\") != 0" if value == '""' else f"{expression} != {value}"
    return f'if ({test}) wrong("something else");'


def declarations_first(lines):
    declarations = [line for line in lines if re.match(r"(devid_\w+ \*|size_t|u?int\d+_t|devid_\w+|const \w+ \*) ?\w+ = .*;$", line)
                    and not line.startswith("devid_error_free")]
    return declarations + [line for line in lines if line not in declarations]


def main():
    functions = header.functions()
    bodies = []
    for function in functions:
        pointers = [p for p in function.parameters if p.is_pointer and "size_t" != p.ctype]
        if function.name.endswith("_free"):
            cases = [pointers]
        else:
            cases = [[p] for p in pointers] + ([pointers] if len(pointers) > 1 else [])
        for case in cases:
            bodies.append(call(function, case, len(bodies)))
    used = set(re.findall(r"fix_(devid_\w+)", "".join(bodies)))
    missing = [h for h in header.handles() if h in used and h not in FIXTURES and h not in LENT]
    if missing:
        sys.exit(f"null_walk: no fixture for {', '.join(missing)}")
    fixtures = [h for h in FIXTURES if h in header.handles()]
    print("/* Generated by tests/c/null_walk.py. */\n#include \"test.h\"\n")
    print("static devid_error *err;\nstatic devid_status status;\nstatic const char *at = \"setting up\";\nstatic int bad;")
    print('static void wrong(const char *answer)\n{\n    printf("%s answered %s\\n", at, answer);\n    bad++;\n}')
    print("static int unused_user;\nstatic devid_key *unused_key, *key_of_device;\nstatic devid_client *client_of_ra;\nstatic devid_action unused_action;\nstatic const uint8_t *message_of_device;\nstatic size_t message_len;\nstatic uint8_t *pem;\nstatic size_t pem_len;\nstatic devid_bytes *pkcs8, *saved_op;")
    print("static uint8_t *ca, *crl, *pem_key;\nstatic size_t ca_len, crl_len, pem_key_len;\nstatic char store_folder[] = \"/tmp/devid-null-XXXXXX\";")
    print("static const char *folder_for_store(void)\n{\n    CHECK(mkdtemp(store_folder) != NULL);\n    return store_folder;\n}")
    print("static const char *device_folder(void)\n{\n    static char folder[100];\n    snprintf(folder, sizeof folder, \"%s/device\", store_folder);\n    return folder;\n}")
    for handle in fixtures + sorted(LENT):
        print(f"static {handle} *fix_{handle};")
    for name, result, parameters in header.callbacks():
        if f"stub_{name}" not in "".join(bodies):
            continue
        print(f"\nstatic {result} stub_{name}({', '.join(f'{t} {n}' for t, n in parameters)})\n{{")
        print("    " + " ".join(f"(void){n};" for _, n in parameters))
        print("}" if result == "void" else "    return 0;\n}")
    print("\n" + "\n".join(bodies))
    print("int main(int argc, char **argv)\n{\n    const char *folder = data_folder(argc, argv);")
    print('    pem = read_file(folder, "device.pem", &pem_len);\n    ca = read_file(folder, "ca.pem", &ca_len);')
    print('    crl = read_file(folder, "good.crl.pem", &crl_len);\n    pem_key = read_file(folder, "device.key", &pem_key_len);')
    for handle in fixtures:
        print(f"    {FIXTURES[handle].format(x='fix_' + handle)};")
        if handle == "devid_key":
            print("    OK(devid_key_export_plain(fix_devid_key, DEVID_FORM_DER, &pkcs8, &err));")
    print("    (void)status, (void)unused_user, (void)unused_key;")
    for number in range(len(bodies)):
        print(f"    call_{number}();")
    for handle in reversed(fixtures):
        print(f"    {handle}_free(fix_{handle});")
    print("    devid_bytes_free(pkcs8);\n    devid_key_free(key_of_device);\n    free(pem);\n    free(ca);\n    free(crl);\n    free(pem_key);\n    remove_folder(store_folder);")
    print(f'    printf("{len(bodies)} calls, %d wrong, last: %s\\n", bad, at);\n    return bad != 0;\n}}')


if __name__ == "__main__":
    main()
