// object - what every API object has: metadata, labels, times, and the form it is stored in.
#include "runtime/api/kinds.h"

// ---- metadata -----------------------------------------------------------------------------------
// Field 1 of every kind is its metadata; where the pointer lies in the message.
static Meta__ObjectMeta **meta_slot(const ProtobufCMessage *obj) {
    const ProtobufCFieldDescriptor *field = &obj->descriptor->fields[0];
    assert(field->id == 1);
    assert(field->type == PROTOBUF_C_TYPE_MESSAGE);
    assert(field->descriptor == &meta__object_meta__descriptor);
    return (Meta__ObjectMeta **)((char *)obj + field->offset);
}

Meta__ObjectMeta *object_meta(arena_t *arena, ProtobufCMessage *obj) {
    Meta__ObjectMeta **slot = meta_slot(obj);
    if (!*slot) *slot = MSG_NEW(arena, Meta__ObjectMeta, meta__object_meta__descriptor);
    return *slot;
}

const Meta__ObjectMeta *object_meta_read(const ProtobufCMessage *obj) {
    static const Meta__ObjectMeta empty = {.base.descriptor = &meta__object_meta__descriptor};
    const Meta__ObjectMeta *meta = *meta_slot(obj);
    return meta ? meta : &empty;
}

const Meta__OwnerReference *object_controller(const ProtobufCMessage *obj) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    for (size_t i = 0; i < meta->n_ownerreferences; i++)
        if (meta->ownerreferences[i]->controller) return meta->ownerreferences[i];
    return NULL;
}

// ---- labels and annotations ---------------------------------------------------------------------
// Every map<string, string> has entries of this one shape.
typedef Meta__ObjectMeta__LabelsEntry entry_t;
static_assert(sizeof(entry_t) == sizeof(Meta__ObjectMeta__AnnotationsEntry), "one shape");
static_assert(offsetof(entry_t, key) == offsetof(Meta__ObjectMeta__AnnotationsEntry, key), "key");
static_assert(offsetof(entry_t, value) == offsetof(Meta__ObjectMeta__AnnotationsEntry, value),
              "value");

// Where `key` stands in the sorted entries, or where it would stand.
static size_t entry_place(entry_t *const *at, size_t len, const char *key, bool *ret_found) {
    size_t low = 0, high = len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(or_empty(at[middle]->key), key);
        if (order == 0) return *ret_found = true, middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

static const char *entry_value(entry_t *const *at, size_t len, const char *key) {
    bool found;
    size_t i = entry_place(at, len, key, &found);
    return found ? or_empty(at[i]->value) : NULL;
}

// The array may be shared with the message that this one was made from: a change makes a new one.
static void entry_set(arena_t *arena, entry_t ***at, size_t *len,
                      const ProtobufCMessageDescriptor *type, const char *key, const char *value) {
    bool found;
    size_t place = entry_place(*at, *len, key, &found);
    if (!found && !value) return;
    entry_t **next = ARENA_ARRAY(arena, entry_t *, *len + 1);
    size_t tail = place + (found ? 1 : 0), count = place;
    if (place) memcpy(next, *at, place * sizeof *next);
    if (value) {
        entry_t *entry = msg_new(arena, type);
        entry->key = arena_strdup(arena, key);
        entry->value = arena_strdup(arena, value);
        next[count++] = entry;
    }
    if (*len > tail) memcpy(next + count, *at + tail, (*len - tail) * sizeof *next);
    count += *len - tail;
    *at = next;
    *len = count;
}

const char *object_label(const ProtobufCMessage *obj, const char *key) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    return entry_value(meta->labels, meta->n_labels, key);
}

const char *object_annotation(const ProtobufCMessage *obj, const char *key) {
    const Meta__ObjectMeta *meta = object_meta_read(obj);
    return entry_value((entry_t *const *)meta->annotations, meta->n_annotations, key);
}

void object_set_label(arena_t *arena, ProtobufCMessage *obj, const char *key, const char *value) {
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    entry_set(arena, &meta->labels, &meta->n_labels, &meta__object_meta__labels_entry__descriptor,
              key, value);
}

void object_set_annotation(arena_t *arena, ProtobufCMessage *obj, const char *key,
                           const char *value) {
    Meta__ObjectMeta *meta = object_meta(arena, obj);
    entry_set(arena, (entry_t ***)&meta->annotations, &meta->n_annotations,
              &meta__object_meta__annotations_entry__descriptor, key, value);
}

// ---- time ---------------------------------------------------------------------------------------
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

Meta__Time *time_new(arena_t *arena, int64_t wall_ms) {
    Meta__Time *time = MSG_NEW(arena, Meta__Time, meta__time__descriptor);
    time->has_seconds = true;
    time->seconds = floor_div(wall_ms, 1000);
    return time;
}

int64_t time_wall_ms(const Meta__Time *t) { return t ? t->seconds * 1000 + t->nanos / 1000000 : 0; }

Meta__MicroTime *microtime_new(arena_t *arena, int64_t wall_ms) {
    Meta__MicroTime *time = MSG_NEW(arena, Meta__MicroTime, meta__micro_time__descriptor);
    time->has_seconds = time->has_nanos = true;
    time->seconds = floor_div(wall_ms, 1000);
    time->nanos = (int32_t)(wall_ms - time->seconds * 1000) * 1000000;
    return time;
}

int64_t microtime_wall_ms(const Meta__MicroTime *t) {
    return t ? t->seconds * 1000 + t->nanos / 1000000 : 0;
}

// ---- the stored form ----------------------------------------------------------------------------
//   offset 0  6b 38 73 00                          "k8s\0"
//          4  0a <len> { 0a <len> apiVersion, 12 <len> kind }    typeMeta
//          …  12 <len> <the packed object>                       raw
//          …  1a 00 22 00                           contentEncoding, contentType: always empty
static const uint8_t magic[] = {'k', '8', 's', 0};
static const uint8_t ending[] = {0x1a, 0, 0x22, 0};
enum { TAG_TYPE_META = 0x0a, TAG_RAW = 0x12, TAG_API_VERSION = 0x0a, TAG_KIND = 0x12 };
enum { VARINT_MAX_BYTES = 10 };

static size_t varint_len(size_t value) {
    size_t len = 1;
    while (value >>= 7) len++;
    return len;
}

static uint8_t *put_varint(uint8_t *at, size_t value) {
    for (; value >= 0x80; value >>= 7) *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_field(uint8_t *at, uint8_t tag, const char *text, size_t len) {
    *at++ = tag;
    at = put_varint(at, len);
    memcpy(at, text, len);
    return at + len;
}

static size_t field_len(size_t len) { return 1 + varint_len(len) + len; }

// "apps/v1" without an arena: written straight to where it goes.
static size_t api_version_len(const kind_t *k) {
    return (*k->group ? strlen(k->group) + 1 : 0) + strlen(k->version);
}

static uint8_t *put_api_version(uint8_t *at, const kind_t *k) {
    *at++ = TAG_API_VERSION;
    at = put_varint(at, api_version_len(k));
    size_t group_len = strlen(k->group), version_len = strlen(k->version);
    if (group_len) {
        memcpy(at, k->group, group_len);
        at[group_len] = '/';
        at += group_len + 1;
    }
    memcpy(at, k->version, version_len);
    return at + version_len;
}

blob_t *object_encode_stored(const ProtobufCMessage *obj) {
    const kind_t *k = kind_of(obj);
    assert(k && !k->stored_as);
    size_t packed_len = protobuf_c_message_get_packed_size(obj);
    size_t meta_len = field_len(api_version_len(k)) + field_len(strlen(k->name));
    blob_t *blob =
        blob_new(sizeof magic + field_len(meta_len) + field_len(packed_len) + sizeof ending);
    uint8_t *at = blob->at;
    memcpy(at, magic, sizeof magic);
    at += sizeof magic;
    *at++ = TAG_TYPE_META;
    at = put_varint(at, meta_len);
    at = put_api_version(at, k);
    at = put_field(at, TAG_KIND, k->name, strlen(k->name));
    *at++ = TAG_RAW;
    at = put_varint(at, packed_len);
    at += protobuf_c_message_pack(obj, at);
    memcpy(at, ending, sizeof ending);
    assert(at + sizeof ending == blob->at + blob->len);
    return blob;
}

// Takes one length-delimited field with this tag off the front of *from.
static bool take_field(bytes_t *from, uint8_t tag, bytes_t *ret_field) {
    if (from->len < 2 || from->at[0] != tag) return false;
    size_t at = 1;
    uint64_t len = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (at >= from->len || at > VARINT_MAX_BYTES) return false;
        uint8_t byte = from->at[at++];
        len |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) break;
    }
    if (len > from->len - at) return false;
    *ret_field = (bytes_t){from->at + at, (size_t)len};
    from->at += at + len;
    from->len -= at + (size_t)len;
    return true;
}

// Opens the envelope: the type's two names and the packed object.
static bool open_stored(bytes_t value, bytes_t *ret_api_version, bytes_t *ret_kind,
                        bytes_t *ret_raw) {
    if (value.len < sizeof magic || memcmp(value.at, magic, sizeof magic) != 0) return false;
    bytes_t rest = {value.at + sizeof magic, value.len - sizeof magic}, type_meta;
    if (!take_field(&rest, TAG_TYPE_META, &type_meta)) return false;
    if (!take_field(&type_meta, TAG_API_VERSION, ret_api_version)) return false;
    if (!take_field(&type_meta, TAG_KIND, ret_kind)) return false;
    return take_field(&rest, TAG_RAW, ret_raw);
}

bytes_t object_stored_packed(bytes_t value) {
    bytes_t api_version, name, raw;
    return open_stored(value, &api_version, &name, &raw) ? raw : (bytes_t){0};
}

static bool is_api_version(const kind_t *k, bytes_t text) {
    size_t group_len = strlen(k->group), version_len = strlen(k->version);
    size_t before = group_len ? group_len + 1 : 0;
    return text.len == before + version_len && memcmp(text.at, k->group, group_len) == 0 &&
           (!group_len || text.at[group_len] == '/') &&
           memcmp(text.at + before, k->version, version_len) == 0;
}

bytes_t object_stored_of(const kind_t *k, bytes_t value) {
    assert(!k->stored_as);
    bytes_t api_version, name, raw;
    bool is_it = open_stored(value, &api_version, &name, &raw) && is_api_version(k, api_version) &&
                 bytes_eq(name, bytes_of_str(k->name));
    return is_it ? raw : (bytes_t){0};
}

void *object_decode_stored(arena_t *arena, const kind_t *k, bytes_t value) {
    bytes_t raw = object_stored_of(k, value);
    return raw.at ? msg_unpack_own(arena, k->type, raw) : NULL;
}
