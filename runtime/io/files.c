#include "runtime/io/files.h"
#include "runtime/io/files_ops.h"

err_t files_make_dir(files_t *files, const char *path, why_t *why) {
    assert(!is_empty(path));
    return files->ops->make_dir(files, path, why);
}
err_t files_list(files_t *files, const char *dir, arena_t *arena, const char ***ret_names,
                 size_t *ret_len, why_t *why) {
    return files->ops->list(files, dir, arena, ret_names, ret_len, why);
}
err_t files_rename(files_t *files, const char *from, const char *to, why_t *why) {
    return files->ops->rename(files, from, to, why);
}
err_t files_remove(files_t *files, const char *path, why_t *why) {
    return files->ops->remove(files, path, why);
}
err_t files_sync_dir(files_t *files, const char *dir, why_t *why) {
    return files->ops->sync_dir(files, dir, why);
}
err_t files_free_bytes(files_t *files, const char *dir, uint64_t *ret_bytes, why_t *why) {
    return files->ops->free_bytes(files, dir, ret_bytes, why);
}
err_t files_lock(files_t *files, const char *path, file_t **ret_file, why_t *why) {
    return files->ops->lock(files, path, ret_file, why);
}
err_t files_open(files_t *files, const char *path, file_mode_t mode, file_t **ret_file,
                 why_t *why) {
    assert(!is_empty(path));
    return files->ops->open(files, path, mode, ret_file, why);
}
void file_close(file_t **file) {
    file_t *f = x_steal(file);
    if (f) f->files->ops->close(f);
}
const char *file_path(const file_t *file) { return file->path; }
err_t file_size(file_t *file, uint64_t *ret_bytes, why_t *why) {
    return file->files->ops->size(file, ret_bytes, why);
}
err_t file_allocate(file_t *file, uint64_t bytes, why_t *why) {
    return file->files->ops->allocate(file, bytes, why);
}
err_t file_reserve(file_t *file, uint64_t bytes, why_t *why) {
    return file->files->ops->reserve(file, bytes, why);
}
err_t file_write_at(file_t *file, uint64_t offset, bytes_t data, why_t *why) {
    assert(data.at || data.len == 0);
    return file->files->ops->write_at(file, offset, data, why);
}
err_t file_read_at(file_t *file, uint64_t offset, void *to, size_t len, size_t *ret_len,
                   why_t *why) {
    return file->files->ops->read_at(file, offset, to, len, ret_len, why);
}
err_t file_sync(file_t *file, why_t *why) { return file->files->ops->sync(file, why); }
int64_t files_take_delay_us(files_t *files) { return files->ops->take_delay_us(files); }
