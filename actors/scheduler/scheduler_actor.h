// scheduler_actor - the shell around sched_core: follows nodes and pods, binds what the core plans.
//
// Role "scheduler". Stands for election; a standby keeps the core up to date and plans nothing.
// Takes: WatchEvents, StreamEnd, Reply, Failure, ElectReply, CurrentRevisionReply.
// Sends to "apiserver": Watch, Create pods/binding, Patch pods/status (condition PodScheduled), Get
// (after a binding whose outcome is unknown), events, Elect, Renew.
#pragma once
#include "runtime/actor/kit.h"
#include "runtime/io/config.h"

typedef struct {
    const char *scheduler_name;   // "default-scheduler": pods of this spec.schedulerName are ours
    int64_t concurrent_binds_max; // 1024: bindings under way at once
} scheduler_args_t;
extern const scheduler_args_t scheduler_args_default;
extern const config_field_t scheduler_config[]; // kind: Scheduler
extern const actor_def_t scheduler_actor;       // args: scheduler_args_t; NULL: the default
