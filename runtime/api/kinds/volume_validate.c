// volume_validate - the volumes of a pod (facts: k8s-validation, PodSpec spec.volumes).
#include "runtime/api/kinds/podspec.h"
#include "runtime/api/quantity.h"

enum { FILE_MODE_MAX = 0777, DRIVER_NAME_MAX = 63, TOKEN_SECONDS_MIN = 600 };
#define TOKEN_SECONDS_MAX ((int64_t)1 << 32)

// ---- shared by the sources ----------------------------------------------------------------------
static void check_mode(field_errors_t *e, const path_t *path, bool has, int32_t mode) {
    if (has && (mode < 0 || mode > FILE_MODE_MAX))
        tell_invalid_int(e, path, mode,
                         "must be a number between 0 and 0777 (octal), both inclusive");
}

static void check_file_path(field_errors_t *e, const path_t *path, const char *value) {
    if (is_empty(value)) {
        tell_required(e, path, NULL);
        return;
    }
    check_relative_path(e, path, value);
    if (has_prefix(value, "..") && !has_prefix(value, "../") && !streq(value, ".."))
        tell_invalid(e, path, value, "must not start with '..'");
}

static void check_items(field_errors_t *e, const path_t *path, Core__KeyToPath *const *items,
                        size_t len) {
    for (size_t i = 0; i < len; i++) {
        const path_t *at = PATH_AT(path, i);
        if (is_empty(items[i]->key)) tell_required(e, PATH(at, "key"), NULL);
        check_file_path(e, PATH(at, "path"), items[i]->path);
        check_mode(e, PATH(at, "mode"), items[i]->has_mode, items[i]->mode);
    }
}

static void check_downward_items(field_errors_t *e, const path_t *path,
                                 Core__DownwardAPIVolumeFile *const *items, size_t len) {
    for (size_t i = 0; i < len; i++) {
        const path_t *at = PATH_AT(path, i);
        check_file_path(e, PATH(at, "path"), items[i]->path);
        if (items[i]->fieldref) check_field_ref(e, PATH(at, "fieldRef"), items[i]->fieldref, true);
        if (items[i]->fieldref && items[i]->resourcefieldref)
            tell_invalid(e, at, "resource",
                         "fieldRef and resourceFieldRef can not be specified simultaneously");
        else if (items[i]->resourcefieldref)
            check_resource_ref(e, PATH(at, "resourceFieldRef"), items[i]->resourcefieldref, true);
        if (!items[i]->fieldref && !items[i]->resourcefieldref)
            tell_required(e, at, "one of fieldRef and resourceFieldRef is required");
        check_mode(e, PATH(at, "mode"), items[i]->has_mode, items[i]->mode);
    }
}

static const char *reference_name(const Core__LocalObjectReference *reference) {
    return reference ? or_empty(reference->name) : "";
}

// ---- one function for each source ---------------------------------------------------------------
typedef void source_fn(field_errors_t *e, const path_t *path, const Core__VolumeSource *s);

static void check_empty_dir(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    const Resource__Quantity *limit = s->emptydir->sizelimit;
    quantity_t q, none = {0};
    if (!limit || quantity_parse(or_empty(limit->string), &q)) return;
    if (quantity_cmp(q, none) < 0)
        tell_forbidden(e, PATH(path, "sizeLimit"),
                       "SizeLimit field must be a valid resource quantity");
}

static void check_host_path(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    static const char *const types[] = {
        "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
        "File", "FileOrCreate", "Socket",     NULL};
    if (is_empty(s->hostpath->path))
        tell_required(e, PATH(path, "path"), NULL);
    else
        check_no_backsteps(e, PATH(path, "path"), s->hostpath->path);
    if (!is_one_of(s->hostpath->type, types))
        tell_not_supported(e, PATH(path, "type"), s->hostpath->type, types);
}

static void check_secret(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    if (is_empty(s->secret->secretname)) tell_required(e, PATH(path, "secretName"), NULL);
    check_mode(e, PATH(path, "defaultMode"), s->secret->has_defaultmode, s->secret->defaultmode);
    check_items(e, PATH(path, "items"), s->secret->items, s->secret->n_items);
}

static void check_config_map(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    const Core__ConfigMapVolumeSource *map = s->configmap;
    if (!*reference_name(map->localobjectreference)) tell_required(e, PATH(path, "name"), NULL);
    check_mode(e, PATH(path, "defaultMode"), map->has_defaultmode, map->defaultmode);
    check_items(e, PATH(path, "items"), map->items, map->n_items);
}

static void check_nfs(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    if (is_empty(s->nfs->server)) tell_required(e, PATH(path, "server"), NULL);
    if (is_empty(s->nfs->path))
        tell_required(e, PATH(path, "path"), NULL);
    else if (s->nfs->path[0] != '/')
        tell_invalid(e, PATH(path, "path"), s->nfs->path, "must be an absolute path");
}

static void check_claim(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    if (is_empty(s->persistentvolumeclaim->claimname))
        tell_required(e, PATH(path, "claimName"), NULL);
}

static void check_downward(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    const Core__DownwardAPIVolumeSource *d = s->downwardapi;
    check_mode(e, PATH(path, "defaultMode"), d->has_defaultmode, d->defaultmode);
    check_downward_items(e, PATH(path, "items"), d->items, d->n_items);
}

static void check_token(field_errors_t *e, const path_t *volume, const path_t *path,
                        const Core__ServiceAccountTokenProjection *token) {
    int64_t seconds = token->expirationseconds;
    if (seconds < TOKEN_SECONDS_MIN)
        tell_invalid_int(e, PATH(path, "expirationSeconds"), seconds,
                         "may not specify a duration less than 10 minutes");
    if (seconds > TOKEN_SECONDS_MAX)
        tell_invalid_int(e, PATH(path, "expirationSeconds"), seconds,
                         "may not specify a duration larger than 2^32 seconds");
    // Kubernetes tells these two of the volume, not of the source.
    if (is_empty(token->path))
        tell_required(e, PATH(volume, "path"), NULL);
    else
        check_file_path(e, PATH(volume, "path"), token->path);
}

static void check_bundle(field_errors_t *e, const path_t *path,
                         const Core__ClusterTrustBundleProjection *bundle) {
    bool named = bundle->name != NULL, signer = bundle->signername != NULL;
    if (named && signer)
        tell_invalid_raw(e, path, "{}", "only one of name and signerName may be used");
    else if (named && is_empty(bundle->name))
        tell_required(e, PATH(path, "name"), "must be a valid object name");
    else if (signer && is_empty(bundle->signername))
        tell_required(e, PATH(path, "signerName"), "must be a valid signer name");
    else if (!named && !signer)
        tell_required(e, path, "either name or signerName must be specified");
    if (named && !signer && bundle->labelselector)
        tell_invalid_raw(e, PATH(path, "labelSelector"),
                         go_selector(e->arena, bundle->labelselector),
                         "labelSelector must be unset if name is specified");
    if (signer && !named)
        check_label_selector(e, PATH(path, "labelSelector"), bundle->labelselector);
    check_file_path(e, PATH(path, "path"), bundle->path);
}

// Which member of a projection stands, in the order in which Kubernetes looks.
static void check_projection(field_errors_t *e, const path_t *volume, const path_t *at,
                             const Core__VolumeProjection *source) {
    size_t count = 0;
    if (source->secret) {
        const path_t *path = PATH(at, "secret");
        count++;
        if (!*reference_name(source->secret->localobjectreference))
            tell_required(e, PATH(path, "name"), NULL);
        check_items(e, PATH(path, "items"), source->secret->items, source->secret->n_items);
    }
    if (source->configmap) {
        const path_t *path = PATH(at, "configMap");
        if (count++) tell_forbidden(e, path, "may not specify more than 1 volume type");
        if (!*reference_name(source->configmap->localobjectreference))
            tell_required(e, PATH(path, "name"), NULL);
        check_items(e, PATH(path, "items"), source->configmap->items, source->configmap->n_items);
    }
    if (source->downwardapi) {
        if (count++)
            tell_forbidden(e, PATH(at, "downwardAPI"), "may not specify more than 1 volume type");
        check_downward_items(e, PATH(PATH(at, "downwardAPI"), "items"), source->downwardapi->items,
                             source->downwardapi->n_items);
    }
    if (source->serviceaccounttoken) {
        if (count++)
            tell_forbidden(e, PATH(at, "serviceAccountToken"),
                           "may not specify more than 1 volume type");
        check_token(e, volume, PATH(at, "serviceAccountToken"), source->serviceaccounttoken);
    }
    if (source->clustertrustbundle) {
        count++;
        check_bundle(e, PATH(at, "clusterTrustBundle"), source->clustertrustbundle);
    }
    if (count > 1) tell_forbidden(e, at, "may not specify more than 1 volume type per source");
}

static void check_projected(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    check_mode(e, PATH(path, "defaultMode"), s->projected->has_defaultmode,
               s->projected->defaultmode);
    for (size_t i = 0; i < s->projected->n_sources; i++)
        check_projection(e, path, PATH_AT(PATH(path, "sources"), i), s->projected->sources[i]);
}

static void check_csi(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    const path_t *driver = PATH(path, "driver");
    const char *name = or_empty(s->csi->driver);
    if (!*name) tell_required(e, driver, NULL);
    if (strlen(name) > DRIVER_NAME_MAX) tell_too_long(e, driver, DRIVER_NAME_MAX);
    if (*name) {
        faults_t faults = rule_dns_subdomain(e->arena, lower_text(e->arena, name));
        for (size_t i = 0; i < faults.len; i++) tell_invalid(e, driver, name, faults.at[i]);
    }
    if (s->csi->nodepublishsecretref && !*reference_name(s->csi->nodepublishsecretref))
        tell_required(e, PATH(PATH(path, "nodePublishSecretRef"), "name"), NULL);
}

static void check_ephemeral(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    if (!s->ephemeral->volumeclaimtemplate)
        tell_required(e, PATH(path, "volumeClaimTemplate"), NULL);
}

static void check_image(field_errors_t *e, const path_t *path, const Core__VolumeSource *s) {
    if (is_empty(s->image->reference)) tell_required(e, PATH(path, "reference"), NULL);
}

// In Kubernetes' order. `name` is what errors call the source; `type` only where Kubernetes calls
// it otherwise when it is one too many (its own slips, kept: clients have seen no other).
static const struct {
    const char *field, *name, *type;
    source_fn *check; // NULL: another's driver looks at the rest
} sources[] = {
    {"emptyDir", "emptyDir", NULL, check_empty_dir},
    {"hostPath", "hostPath", NULL, check_host_path},
    {"gitRepo", "gitRepo", NULL, NULL},
    {"gcePersistentDisk", "gcePersistentDisk", NULL, NULL},
    {"awsElasticBlockStore", "awsElasticBlockStore", NULL, NULL},
    {"secret", "secret", NULL, check_secret},
    {"nfs", "nfs", NULL, check_nfs},
    {"iscsi", "iscsi", NULL, NULL},
    {"glusterfs", "glusterfs", NULL, NULL},
    {"flocker", "flocker", NULL, NULL},
    {"persistentVolumeClaim", "persistentVolumeClaim", NULL, check_claim},
    {"rbd", "rbd", NULL, NULL},
    {"cinder", "cinder", NULL, NULL},
    {"cephfs", "cephfs", "cephFS", NULL},
    {"quobyte", "quobyte", NULL, NULL},
    {"downwardAPI", "downwardAPI", "downwarAPI", check_downward},
    {"fc", "fc", NULL, NULL},
    {"flexVolume", "flexVolume", NULL, NULL},
    {"configMap", "configMap", NULL, check_config_map},
    {"azureFile", "azureFile", NULL, NULL},
    {"vsphereVolume", "vsphereVolume", NULL, NULL},
    {"photonPersistentDisk", "photonPersistentDisk", NULL, NULL},
    {"portworxVolume", "portworxVolume", NULL, NULL},
    {"azureDisk", "azureDisk", NULL, NULL},
    {"storageos", "storageos", NULL, NULL},
    {"projected", "projected", NULL, check_projected},
    {"scaleIO", "scaleIO", NULL, NULL},
    {"csi", "csi", NULL, check_csi},
    {"ephemeral", "ephemeral", NULL, check_ephemeral},
    {"image", "image", NULL, check_image},
};

static void check_source(field_errors_t *e, const path_t *path, const Core__VolumeSource *source) {
    size_t count = 0;
    for (size_t i = 0; source && i < LENGTH_OF(sources); i++) {
        if (!field_message(source, sources[i].field)) continue;
        if (count++) {
            const char *type = sources[i].type ? sources[i].type : sources[i].name;
            tell_forbidden(e, PATH(path, type), "may not specify more than 1 volume type");
        } else if (sources[i].check) {
            sources[i].check(e, PATH(path, sources[i].name), source);
        }
    }
    if (!count) tell_required(e, path, "must specify a volume type");
}

void check_volumes(field_errors_t *e, const path_t *path, const Core__PodSpec *spec,
                   bool *ret_is_right) {
    names_t names = NAMES(e->arena, spec->volumes, spec->n_volumes, Core__Volume, name);
    for (size_t i = 0; i < spec->n_volumes; i++) {
        const path_t *at = PATH_AT(path, i);
        const char *name = or_empty(spec->volumes[i]->name);
        size_t before = e->len;
        check_source(e, at, spec->volumes[i]->volumesource);
        check_required_rule(e, PATH(at, "name"), name, rule_dns_label);
        size_t first = names_find(&names, name);
        if (first < i && ret_is_right[first]) tell_duplicate(e, PATH(at, "name"), name);
        ret_is_right[i] = e->len == before;
    }
}
