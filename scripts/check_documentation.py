#!/usr/bin/env python3
"""Every parameter of every C function has an @param, every pointer says what NULL means, every result has an @return."""

import sys

import header

problems = []
for function in header.functions():
    for parameter in function.parameters:
        where = f"{function.name}: {parameter.name}"
        if not parameter.doc:
            problems.append(f"{where} has no @param")
        elif parameter.is_pointer and parameter.may_be_null == parameter.not_null:
            problems.append(f"{where} says neither 'Not NULL' nor 'May be NULL'")
        if "double" in parameter.ctype or parameter.ctype in ("int", "long", "unsigned", "bool", "char"):
            problems.append(f"{where} has the type {parameter.ctype}, which does not cross the boundary")
    if function.result != "void" and "@return" not in function.doc:
        problems.append(f"{function.name} has no @return")
    if function.result == "devid_status" and not function.is_fallible and not function.name.endswith("_code"):
        problems.append(f"{function.name} is fallible and does not end with err")
for name in set(header.parameter_docs("\n".join(f.doc for f in header.functions()))):
    if not any(p.name == name for f in header.functions() for p in f.parameters):
        problems.append(f"@param {name} names no parameter")
print("\n".join(problems), end="\n" if problems else "")
sys.exit(bool(problems))
