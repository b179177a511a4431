#!/usr/bin/env python3
"""Makes proto/cri/*.proto from the fact tables: cri_proto.py FACTS_DIR OUT_DIR

The output is committed; this runs again only when the tables change. CRI is taken up to release
1.33, without Windows' messages and without the signal names: a field that is not here travels as an
unknown field and is ignored. Of containerd's own API: events, tasks and containers.
"""
import collections
import csv
import os
import re
import sys

NEWEST_MINOR = 33
SCALARS = {"string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "double"}
HEAD = """// Made by runtime/io/gen/cri_proto.py; do not edit.
syntax = "proto3";
package %s;
import "protobuf-c/protobuf-c.proto";
%soption (pb_c_file).c_package = "%s";
option (pb_c_file).const_strings = true;
option (pb_c_file).gen_pack_helpers = false;
option (pb_c_file).gen_init_helpers = false;

"""


def rows(path):
    with open(path, newline="") as file:
        return [r for r in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if r["number"] != "number"]


def field_line(indent, kind, label, name, number):
    if kind.startswith("map<"):
        label = ""
    return "%s%s%s %s = %s;" % (indent, "repeated " if label == "repeated" else "", kind, name, number)


def cri_wanted(row):
    since = re.search(r"since (?:<=)?1\.(\d+)", row["since_note"])
    if "master" in row["since_note"] and "since" not in row["since_note"]:
        return False
    if since and int(since.group(1)) > NEWEST_MINOR:
        return False
    names = row["message"] + " " + row["type"] + " " + row["field_name"]
    return "Windows" not in names and "windows" not in names and "Signal" not in row["type"] and "Signal" not in row["message"]


def make_cri(facts, out):
    messages, enums = collections.OrderedDict(), collections.OrderedDict()
    for row in rows(os.path.join(facts, "cri-v1-fields.tsv")):
        name = row["message"]
        if name.startswith("enum "):
            if cri_wanted(row):
                enums.setdefault(name[5:], []).append(row)
        elif cri_wanted(row):
            messages.setdefault(name, []).append(row)
    text = HEAD % ("runtime.v1", "", "cri")

    def enum_text(name, values, indent):
        lines = ["%senum %s {" % (indent, name)]
        lines += ["%s  %s = %s;" % (indent, v["field_name"], v["number"]) for v in values]
        return "\n".join(lines + ["%s}\n" % indent])

    for name, values in enums.items():
        if "." not in name:
            text += enum_text(name, values, "")
    for name, fields in messages.items():
        if name.startswith("enum ") or "." in name:
            continue
        text += "message %s {\n" % name
        for enum, values in enums.items():
            if enum.startswith(name + "."):
                text += enum_text(enum.split(".")[1], values, "  ")
        for row in fields:
            if row["field_name"].startswith("("):
                continue
            kind = row["type"]
            if row["message"] == "KeyValue" and row["field_name"] == "value":
                kind = "string"
            text += field_line("  ", kind, row["label"], row["field_name"], row["number"]) + "\n"
        text += "}\n"
    with open(os.path.join(out, "cri.proto"), "w") as file:
        file.write(text)


CONTAINERD = [
    ("containerd_types", ["containerd.types"], ["Mount", "Descriptor", "Metric"]),
    ("containerd_process", ["containerd.v1.types"], None),
    ("containerd_events", ["containerd.events"],
     ["TaskStart", "TaskDelete", "TaskExit", "TaskOOM", "ContainerDelete"]),
    ("containerd_subscribe", ["containerd.services.events.v1"], ["SubscribeRequest", "Envelope"]),
    # Of a container only what an exec needs: the spec of its process.
    ("containerd_containers", ["containerd.services.containers.v1"], ["Container", "GetContainerRequest", "GetContainerResponse"]),
    ("containerd_tasks", ["containerd.services.tasks.v1"],
     ["StartRequest", "StartResponse", "DeleteResponse", "DeleteProcessRequest", "GetRequest", "GetResponse",
      "KillRequest", "ExecProcessRequest", "ResizePtyRequest", "CloseIORequest", "WaitRequest", "WaitResponse"]),
]
FIELDS_OF = {"Container": ["id", "image", "spec"]}
IMPORT_OF = {"google.protobuf": "google", "containerd.types": "containerd_types",
             "containerd.v1.types": "containerd_process"}


def make_containerd(facts, out):
    table = rows(os.path.join(facts, "containerd-1.6.20-fields.tsv"))
    for name, packages, wanted in CONTAINERD:
        body, imports, seen = "", set(), collections.OrderedDict()
        for row in table:
            if row["package"] in packages and (not wanted or row["message"] in wanted) and \
                    row["field"] in FIELDS_OF.get(row["message"], [row["field"]]):
                seen.setdefault(row["message"], []).append(row)
        for message, fields in seen.items():
            is_enum = message.startswith("enum ")
            body += "%s {\n" % (message if is_enum else "message " + message)
            for row in fields:
                if is_enum:
                    body += "  %s = %s;\n" % (row["field"], row["number"])
                    continue
                kind = row["type"]
                package = kind.rpartition(".")[0]
                if package in IMPORT_OF:
                    imports.add(IMPORT_OF[package])
                    kind = "." + kind
                body += field_line("  ", kind, row["label"], row["field"], row["number"]) + "\n"
            body += "}\n"
        lines = "".join('import "cri/%s.proto";\n' % i for i in sorted(imports))
        with open(os.path.join(out, name + ".proto"), "w") as file:
            file.write(HEAD % (packages[0], lines, "containerd") + body)
    with open(os.path.join(out, "google.proto"), "w") as file:
        file.write(HEAD % ("google.protobuf", "", "google") +
                   "message Any {\n  string type_url = 1;\n  bytes value = 2;\n}\n"
                   "message Timestamp {\n  int64 seconds = 1;\n  int32 nanos = 2;\n}\n"
                   "message Empty {\n}\n")


if __name__ == "__main__":
    make_cri(sys.argv[1], sys.argv[2])
    make_containerd(sys.argv[1], sys.argv[2])
