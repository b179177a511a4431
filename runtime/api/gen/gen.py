#!/usr/bin/env python3
"""gen - Kubernetes' schemas and the codec's side table, from the fact tables.

Run by hand when the facts change; what it writes is committed, the build needs no Python:

    runtime/api/gen/gen.py FACTS

reads FACTS/k8s-{proto-fields,proto-packages,proto-removed-or-changed,field-optionality,merge-keys}.tsv
and runtime/api/gen/own.tsv (our own kinds, in the same columns), writes proto/k8s/*.proto,
proto/troupe/{actors,experiments}.proto and runtime/api/fields.inc.

The .proto files hold what protobuf needs. What it cannot say goes to the side table: Go's field
order (which is JSON's), JSON names, what is written when empty, which fields are inlined, and how
lists merge.
"""
import collections
import csv
import os
import sys

RELEASE = (1, 33)       # what the API server serves; fields and messages of later ones are unknown
GROUP_VERSIONS = [
    'meta/v1', 'runtime', 'resource', 'intstr', 'core/v1', 'apps/v1', 'apps/v1beta1',
    'apps/v1beta2', 'extensions/v1beta1', 'discovery/v1', 'coordination/v1', 'events/v1',
    'batch/v1', 'autoscaling/v1', 'autoscaling/v2', 'policy/v1', 'rbac/v1', 'networking/v1',
    'storage/v1', 'scheduling/v1', 'node/v1', 'authentication/v1', 'authorization/v1',
    'admissionregistration/v1',
]
OWN = ('actors', 'experiments')     # io.troupe.X.v1: rows in own.tsv, files in proto/troupe
SCALARS = {'string', 'bytes', 'bool', 'int32', 'int64', 'double'}
ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../..'))


def rows_of(path):
    with open(path, encoding='utf-8') as f:
        return list(csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE))


class Field:
    def __init__(self, row):
        self.name, self.number = row['field_name'], int(row['number'])
        self.type, self.label = row['type'], row['label']
        json = row['json_name']
        self.inline = json == '(inline)'
        self.json = self.name if json.startswith('(') else json


class Message:
    def __init__(self, gv, name):
        self.gv, self.name = gv, name
        self.fields = []        # in the order of the facts
        self.reserved = set()

    def key(self):
        return self.gv.replace('/', '.') + '.' + self.name


class Schema:
    """Everything that is served, as messages by 'core.v1.Pod'."""

    def __init__(self, facts):
        self.packages = {r['group_version']: r['proto_package']
                         for r in rows_of(facts + '/k8s-proto-packages.tsv')}
        self.packages.update({gv: 'io.troupe.%s.v1' % gv for gv in OWN})
        self.messages = collections.OrderedDict()
        self.read(rows_of(facts + '/k8s-proto-fields.tsv'), set(GROUP_VERSIONS))
        self.read(rows_of(os.path.dirname(os.path.abspath(__file__)) + '/own.tsv'), set(OWN))
        for r in rows_of(facts + '/k8s-proto-removed-or-changed.tsv'):
            m = self.messages.get(r['group_version'].replace('/', '.') + '.' + r['message'])
            if m and r['what'].startswith('removed'):
                m.reserved.add(int(r['number']))
        for m in self.messages.values():
            m.reserved -= {f.number for f in m.fields}

    def read(self, rows, wanted):
        for r in rows:
            if r['group_version'] not in wanted:
                continue
            m = Message(r['group_version'], r['message'])
            late = tuple(map(int, r['since'].lstrip('<=').split('.'))) > RELEASE
            known = self.messages.get(m.key())
            if not known and late:
                continue
            m = self.messages.setdefault(m.key(), m)
            if r['field_name'].startswith('('):
                continue
            if late:
                m.reserved.add(int(r['number']))
            else:
                m.fields.append(Field(r))

    def group_versions(self):
        return list(collections.OrderedDict.fromkeys(m.gv for m in self.messages.values()))


# ---- .proto files ----------------------------------------------------------------------------------
def proto_file(gv):
    return 'troupe/%s.proto' % gv if gv in OWN else 'k8s/%s.proto' % gv.replace('/', '_')


def c_package(gv):
    """core/v1 -> core, apps/v1beta1 -> apps_v1beta1: the served version has the short name."""
    group, _, version = gv.partition('/')
    return group if version in ('', 'v1') else group + '_' + version


def split_type(t):
    """'core.v1.Pod' -> ('core/v1', 'Pod'); 'intstr.IntOrString' -> ('intstr', 'IntOrString')"""
    gv, _, name = t.rpartition('.')
    return gv.replace('.', '/'), name


def proto_type(schema, t, gv, imports):
    if t in SCALARS:
        return t
    assert t in schema.messages, t
    other, name = split_type(t)
    if other != gv:
        imports.add(other)
    return '.%s.%s' % (schema.packages[other], name)


def proto_field(schema, f, gv, imports):
    if f.label == 'map':
        key, value = f.type[len('map<'):-1].split(',')
        decl = 'map<%s, %s>' % (key, proto_type(schema, value.strip(), gv, imports))
    else:
        decl = f.label + ' ' + proto_type(schema, f.type, gv, imports)
    return '  %s %s = %d;' % (decl, f.name, f.number)


def proto_text(schema, gv):
    imports, body = set(), []
    for m in schema.messages.values():
        if m.gv != gv:
            continue
        body.append('message %s {' % m.name)
        if m.reserved:
            body.append('  reserved %s;' % ', '.join(map(str, sorted(m.reserved))))
        body += [proto_field(schema, f, gv, imports) for f in m.fields]
        body += ['}', '']
    head = ['// Made by runtime/api/gen/gen.py: Kubernetes %d.%d\'s %s, number for number.'
            % (RELEASE + (gv,)) if gv not in OWN else
            '// Made by runtime/api/gen/gen.py from own.tsv: kinds of our own, as API objects.',
            'syntax = "proto2";', 'package %s;' % schema.packages[gv],
            'import "protobuf-c/protobuf-c.proto";']
    head += ['import "%s";' % proto_file(i) for i in sorted(imports)]
    head += ['option (pb_c_file).c_package = "%s";' % c_package(gv)]
    head += ['option (pb_c_file).%s;' % o for o in
             ('gen_pack_helpers = false', 'gen_init_helpers = false', 'const_strings = true')]
    return '\n'.join(head + [''] + body[:-1]) + '\n'


# ---- side table ------------------------------------------------------------------------------------
SPECIALS = {            # messages whose JSON is not field by field (facts: k8s-json-special)
    'meta.v1.Time': 'TIME', 'meta.v1.MicroTime': 'MICRO_TIME', 'meta.v1.Duration': 'DURATION',
    'meta.v1.FieldsV1': 'RAW', 'runtime.RawExtension': 'RAW', 'resource.Quantity': 'QUANTITY',
    'resource.QuantityValue': 'QUANTITY', 'intstr.IntOrString': 'INT_OR_STRING',
    'meta.v1.Verbs': 'STRINGS', 'authentication.v1.ExtraValue': 'STRINGS',
    'authorization.v1.ExtraValue': 'STRINGS',
}


class Row:
    """One field of the side table; `via` are the inlined fields that lead to it."""

    def __init__(self, field, at, flags, merge_key, via, values):
        self.field, self.at, self.via = field, at, via
        self.flags, self.merge_key, self.values = flags, merge_key, values


# Named string types whose constants are only the well-known ones of an open set.
OPEN_SETS = ('ConditionType', 'ResourceName', 'FinalizerName', 'AddressType', 'ConditionReason',
             'Signal', 'SecretType', 'StorageMedium')
LATER_CONSTANTS = {('TolerationOperator', 'Gt'), ('TolerationOperator', 'Lt')}


class SideTable:
    def __init__(self, schema, facts):
        self.schema = schema
        self.constants = collections.defaultdict(set)   # (gv, Go type) -> values of a closed set
        for r in rows_of(facts + '/k8s-enum-constants.tsv'):
            value = r['value'].strip('"')
            closed = r['value'].startswith('"') and not r['go_type'].endswith(OPEN_SETS)
            if closed and (r['go_type'], value) not in LATER_CONSTANTS:
                self.constants[r['group_version'], r['go_type']].add(value)
        self.facts = collections.OrderedDict()      # (gv, message) -> rows in Go's order
        for r in rows_of(facts + '/k8s-field-optionality.tsv'):
            self.facts.setdefault((r['group_version'], r['message']), []).append(r)
        self.merge = {(r['group_version'], r['message'], r['field']): r
                      for r in rows_of(facts + '/k8s-merge-keys.tsv') if '1.33' in r['branch']}

    def ordered(self, m):
        """The message's fields in Go's order, each with its row of facts (None: no facts)."""
        by_number = {str(f.number): f for f in m.fields}
        done = []
        for r in self.facts.get((m.gv, m.name), []):
            f = by_number.pop(r['proto_number'], None)
            if f:
                done.append((f, r))
        return done + [(f, None) for f in m.fields if str(f.number) in by_number]

    def has_type_meta(self, m):
        known = self.facts.get((m.gv, m.name), [])
        return any(r['field'] == 'TypeMeta' for r in known) or m.key() in (
            'core.v1.List', 'actors.Actor', 'actors.ActorList', 'experiments.Experiment',
            'experiments.ExperimentList')

    def flags(self, m, f, r):
        flags = set()
        emitted = r['emitted_when_empty_%d.%d' % RELEASE] if r else 'no'
        if f.label == 'map':
            flags.add('MAP')
        # The epoch is a time: of times, only an absent one is unset.
        if SPECIALS.get(m.key(), '').endswith('TIME') or (r and r['kind'] == 'ptr'):
            flags.add('POINTER')
        if emitted.startswith('yes'):
            flags.add('EMITTED')
        if m.name in ('Actor', 'Experiment') and f.name in ('metadata', 'spec', 'status'):
            flags.add('EMITTED')
        if m.name.endswith('List') and f.name == 'items':
            flags |= {'EMITTED', 'EMPTY_LIST'}
        if m.name.endswith('List') and f.name == 'metadata':
            flags.add('EMITTED')
        if r and (r['marked_required'] == 'yes' or
                  (r['json_omitempty'] == 'no' and r['marked_optional'] == 'no' and r['kind'] != 'ptr')):
            flags.add('REQUIRED')
        merge = self.merge.get((m.gv, m.name, f.json))
        strategy = merge['patchStrategy'].split(',') if merge else []
        if 'merge' in strategy:
            flags.add('MERGE')
        if 'retainKeys' in strategy:
            flags.add('RETAIN_KEYS')
        return flags, merge['patchMergeKey'] if 'merge' in strategy else ''

    def values(self, m, r):
        """The values that an enumeration takes, as one text."""
        go_type = r['go_type'].lstrip('*[]') if r and r['kind'] in ('prim', 'ptr', 'slice') else ''
        if go_type in ('', 'string'):
            return ''
        gv = 'core/v1' if go_type.startswith(('v1.', 'corev1.')) else m.gv
        values = self.constants.get((gv, go_type.rpartition('.')[2]), ())
        return ', '.join(sorted(v for v in values if v)) if len(values) > 1 else ''

    def rows(self, m, via=()):
        numbers = sorted(f.number for f in m.fields)
        out = []
        for f, r in self.ordered(m):
            at = numbers.index(f.number)
            if f.inline:
                out += self.rows(self.schema.messages[f.type], via + (at,))
            else:
                flags, key = self.flags(m, f, r)
                out.append(Row(f, at, flags, key, via, self.values(m, r)))
        return out


def c_descriptor(m):
    """The name protoc-c gives to a message's descriptor."""
    lower, was_upper = '', True
    for c in m.name:
        lower += '_' + c.lower() if c.isupper() and not was_upper else c.lower()
        was_upper = c.isupper()
    return '%s__%s__descriptor' % (c_package(m.gv), lower)


def side_text(schema, facts):
    table = SideTable(schema, facts)
    messages = sorted(schema.messages.values(),
                      key=lambda m: schema.packages[m.gv] + '.' + m.name)
    index = {m.key(): i for i, m in enumerate(messages)}
    fields, order, types, enums = [], [], [], []
    for m in messages:
        rows = table.rows(m)
        assert len(m.fields) <= 64
        pointers = sum(1 << r.at for r in rows if not r.via and 'POINTER' in r.flags)
        types.append('    {&%s, %d, %d, %s, SPECIAL_%s, 0x%x},' % (
            c_descriptor(m), len(fields), len(rows), 'true' if table.has_type_meta(m) else 'false',
            SPECIALS.get(m.key(), 'NONE'), pointers))
        order.append('    ' + ' '.join('%d,' % i for i in sorted(
            range(len(rows)), key=lambda i: rows[i].field.json)) + '   // ' + m.key())
        for r in rows:
            assert len(r.via) <= 2 and r.at < 256
            t = r.field.type[len('map<'):-1].split(',')[1] if r.field.label == 'map' else r.field.type
            via = [v + 1 for v in r.via] + [0, 0]
            if r.values:
                enums.append('    {%d, "%s"},   // %s.%s' % (len(fields), r.values, m.key(), r.field.json))
            fields.append('    F("%s", %d, %d, %d, %s, %d, %s),' % (
                r.field.json, r.at, via[0], via[1],
                ' | '.join('API_' + f for f in sorted(r.flags)) or '0',
                -1 if t in SCALARS else index[t],
                '"%s"' % r.merge_key if r.merge_key else 'NULL'))
    head = ['// Made by runtime/api/gen/gen.py; see fields.h for what the columns mean.']
    head += ['#include "%s.pb-c.h"' % proto_file(gv)[:-len('.proto')] for gv in schema.group_versions()]
    return '\n'.join(
        head + ['', '// clang-format off', 'static const api_field_t API_FIELDS[] = {'] + fields + ['};', '',
                '// Per type: its fields by JSON name.',
                'static const uint8_t API_SORTED[] = {'] + [o for o in order if o.strip()[0] != '/'] +
        ['};', '', '// Enumerations, by the index of their field.',
         'static const api_enum_t API_ENUMS[] = {'] + enums +
        ['};', '', '// By full protobuf name.', 'static const api_type_t API_TYPES[] = {'] + types +
        ['};', '// clang-format on']) + '\n'


def write(path, text):
    path = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    schema = Schema(sys.argv[1])
    for gv in schema.group_versions():
        write('proto/' + proto_file(gv), proto_text(schema, gv))
    write('runtime/api/fields.inc', side_text(schema, sys.argv[1]))


main()
