// Which actors there are. To add one: a row, and a line in the topology files that should run it.
#include "actors/apiserver/apiserver_actor.h"
#include "actors/chaos/chaos_actor.h"
#include "actors/controllers/controllers_actor.h"
#include "actors/kubelet/kubelet.h"
#include "actors/proxy/proxy_actor.h"
#include "actors/scheduler/scheduler_actor.h"
#include "actors/store/disk_actor.h"
#include "actors/store/store_actor.h"
#include "cli/troupe/role.h"
#include "runtime/actor/informers_actor.h"

static const proxy_args_t proxy_args_default = PROXY_ARGS_DEFAULT;

//  role · actor · args · defaults · component file's kind and fields · needs root ·
//  whom it speaks with · why it stays · whether it goes to other machines, too
const role_t roles[] = {
    {"apiserver", &apiserver_actor, sizeof(apiserver_args_t), &apiserver_args_default, "ApiServer",
     apiserver_config, false, "* cli", NULL, true},
    {"chaos", &chaos_actor, 0, NULL, NULL, NULL, false, "*", NULL,
     true}, // sees whom it strikes fall
    {"controllers", &controllers_actor, sizeof(controllers_args_t), &controllers_args_default,
     "Controllers", controllers_config, false, "apiserver", NULL, true},
    {"disk", &disk_actor, sizeof(disk_args_t), NULL, "Disk", disk_config, false, "store",
     "it holds the files of its store member"},
    {"informers", &informers_actor, 0, NULL, NULL, NULL, false, "apiserver",
     "it serves the actors of its own process"},
    {"kubelet", &kubelet_actor, sizeof(kubelet_args_t), NULL, "Kubelet", kubelet_config, true,
     "apiserver"},
    {"proxy", &proxy_actor, sizeof(proxy_args_t), &proxy_args_default, "Proxy", proxy_config, true,
     "apiserver"},
    {"scheduler", &scheduler_actor, sizeof(scheduler_args_t), &scheduler_args_default, "Scheduler",
     scheduler_config, false, "apiserver", NULL, true},
    {"store", &store_actor, sizeof(store_args_t), NULL, "Store", store_config, false,
     "apiserver disk store"},
    {NULL},
};
