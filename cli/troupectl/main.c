// troupectl - the command line: kubectl's verbs and flags, spoken over ZeroMQ.
#include "cli/troupectl/ctl.h"
#include "runtime/base/log.h"
#include <signal.h>

typedef struct {
    const char *name, *usage, *summary, *options;
    verb_fn *run;
    const char *example; // lines, without indentation
} verb_t;

#define GET_OPTIONS                                                                          \
    "output selector field-selector all-namespaces watch watch-only no-headers show-labels " \
    "show-kind sort-by ignore-not-found filename recursive"

static const verb_t verbs[] = {
    {"get", "TYPE[,TYPE…] [NAME…] | TYPE/NAME… | -f FILE", "show objects as a table, or as -o says",
     GET_OPTIONS, cmd_get,
     "troupectl get pods -o wide\ntroupectl get deploy,svc\ntroupectl get pods -l app=web -w\n"
     "troupectl get pod web -o jsonpath='{.status.podIP}'\ntroupectl get actors"},
    {"describe", "TYPE [NAME…] | TYPE/NAME…", "show all about an object, its events too",
     "selector all-namespaces", cmd_describe, "troupectl describe pod web"},
    {"create", "-f FILE | deployment|namespace NAME",
     "make objects from manifests, or by a short form",
     "filename recursive output dry-run image replicas port", cmd_create,
     "troupectl create -f pod.yaml\ntroupectl create deployment web --image=nginx "
     "--replicas=2\ntroupectl create namespace test"},
    {"apply", "-f FILE", "make objects as manifests say, or change them to that",
     "filename recursive output dry-run", cmd_apply, "troupectl apply -f nginx.yaml"},
    {"replace", "-f FILE", "put manifests in the place of objects",
     "filename recursive output dry-run", cmd_replace, NULL},
    {"delete", "TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | TYPE --all | -f FILE",
     "delete objects",
     "filename recursive selector field-selector all all-namespaces grace-period force now cascade "
     "wait timeout ignore-not-found output dry-run",
     cmd_delete,
     "troupectl delete pod web\ntroupectl delete deploy,svc -l app=web\ntroupectl delete actor "
     "scheduler/m1"},
    {"run", "NAME --image=IMAGE [--replicas=N] [-i] [-t] [--rm] [-- ARGS…]",
     "make a pod, or with --replicas a deployment; with -i join it",
     "image port replicas labels restart env command image-pull-policy stdin tty attach rm quiet "
     "timeout output dry-run",
     cmd_run,
     "troupectl run nginx-deploy --image=nginx --port=80 --replicas=2\ntroupectl run box "
     "--image=busybox --restart=Never -- sleep 60\ntroupectl run -it --rm box --image=busybox "
     "--restart=Never -- sh"},
    {"expose", "TYPE NAME | TYPE/NAME",
     "make a service for the pods of a deployment, replica set, service or pod",
     "name port target-port type protocol node-port selector labels output dry-run", cmd_expose,
     "troupectl expose deployment nginx-deploy --name=myweb --port=80 --type=NodePort"},
    {"scale", "TYPE NAME --replicas=N", "change the number of pods",
     "replicas current-replicas output", cmd_scale, "troupectl scale deployment web --replicas=5"},
    {"rollout", "status|history|undo|restart|pause|resume TYPE NAME",
     "watch and steer a deployment's rollout", "timeout revision to-revision output", cmd_rollout,
     "troupectl rollout status deployment/web"},
    {"logs", "POD | TYPE/NAME [-c CONTAINER]", "print a container's output",
     "container follow previous timestamps tail since", cmd_logs,
     "troupectl logs -f web\ntroupectl logs web --previous"},
    {"exec", "POD [-c CONTAINER] -- COMMAND…", "run a command in a container",
     "container stdin tty", cmd_exec, "troupectl exec web -- ls /\ntroupectl exec -it web -- sh"},
    {"attach", "POD [-c CONTAINER]", "join a container's own output and input",
     "container stdin tty", cmd_attach, "troupectl attach web\ntroupectl attach -it box"},
    {"port-forward", "POD | TYPE/NAME [LOCAL:]PORT… [--address=ADDRESS]",
     "listen here, and connect what comes to a pod's port", "address", cmd_port_forward,
     "troupectl port-forward web 8080:80\ntroupectl port-forward service/myweb 8080:80\n"
     "troupectl port-forward deployment/web :http"},
    {"label", "TYPE NAME KEY=VALUE… KEY-…", "change labels", "overwrite all selector list output",
     cmd_label, "troupectl label node n1 disk=ssd\ntroupectl label pod web tier-"},
    {"annotate", "TYPE NAME KEY=VALUE… KEY-…", "change annotations",
     "overwrite all selector list output", cmd_annotate, NULL},
    {"edit", "TYPE NAME | TYPE/NAME", "change an object in $EDITOR", "output", cmd_edit,
     "troupectl edit deployment web"},
    {"patch", "TYPE NAME -p PATCH", "change an object by a patch",
     "patch type subresource output dry-run", cmd_patch,
     "troupectl patch deploy web -p '{\"spec\":{\"replicas\":3}}'"},
    {"set", "image TYPE/NAME CONTAINER=IMAGE…", "change the image of containers", "output", cmd_set,
     "troupectl set image deployment/web web=nginx:1.22"},
    {"cordon", "NODE…", "take no more pods on a node", "selector", cmd_cordon, NULL},
    {"uncordon", "NODE…", "take pods on a node again", "selector", cmd_uncordon, NULL},
    {"wait", "TYPE NAME --for=CONDITION", "wait until objects are as wanted",
     "for timeout selector all all-namespaces", cmd_wait,
     "troupectl wait --for=condition=Ready pod/web --timeout=60s"},
    {"explain", "TYPE[.FIELD…]", "what a kind's fields mean", "recursive", cmd_explain,
     "troupectl explain pod.spec.containers"},
    {"api-resources", "", "the kinds there are", "api-group no-headers output", cmd_api_resources,
     NULL},
    {"api-versions", "", "the group versions there are", "", cmd_api_versions, NULL},
    {"trace", "ID | --last", "the path of an earlier command through the actors", "last perfetto",
     cmd_trace, "troupectl trace --last\ntroupectl trace --last --perfetto trace.json"},
    {"actors", "move ROLE/NAME --to PROCESS|HOST",
     "move an actor to another process while the rest runs", "to", cmd_actors,
     "troupectl actors move scheduler/m1 --to own\ntroupectl actors move scheduler/m1 --to main"},
    {"chaos",
     "FAULT TARGET… | resume TARGET… | list | clear [ID…] | report NAME\n"
     "  FAULT: kill pause partition delay drop duplicate reorder skew disk-slow disk-full cpu\n"
     "  TARGET: scheduler  scheduler/m1  'kubelet/*'  process/main  node/n1  A:B (a link)",
     "make things go wrong on purpose, for a time",
     "for probability delay jitter offset message one-way force output", cmd_chaos,
     "troupectl chaos kill scheduler\ntroupectl chaos delay store --delay 50ms --for 30s\n"
     "troupectl chaos partition node/n1 --for 5s\ntroupectl chaos partition kubelet/n1:apiserver\n"
     "troupectl chaos list"},
    {"completion", "bash | zsh", "print a completion script", "", cmd_completion,
     "source <(troupectl completion bash)"},
    {"version", "", "versions of command and server", "client output", cmd_version, NULL},
};

static const verb_t *find_verb(const char *name) {
    for (size_t i = 0; i < LENGTH_OF(verbs); i++)
        if (streq(verbs[i].name, name)) return &verbs[i];
    return NULL;
}

static void print_flags(option_set_t set, FILE *out) {
    text_t lines = TEXT_HEAP;
    options_help_set(&lines, set);
    fputs(text_str(&lines), out);
    text_done(&lines);
}

static void print_help(FILE *out) {
    fprintf(out, "troupectl speaks to a Troupe cluster.\n\nUsage:\n  troupectl VERB [ARGUMENTS] "
                 "[FLAGS]\n\nVerbs:\n");
    for (size_t i = 0; i < LENGTH_OF(verbs); i++)
        fprintf(out, "  %-15s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\nFlags of every verb:\n");
    print_flags((option_set_t){flags_common, NULL}, out);
    fprintf(out, "\n`troupectl VERB --help` tells the rest.\n");
}

static void print_verb_help(const verb_t *verb, FILE *out) {
    fprintf(out, "%s\n\nUsage:\n  troupectl %s %s\n", verb->summary, verb->name, verb->usage);
    if (verb->example) {
        fprintf(out, "\nExamples:\n  ");
        for (const char *p = verb->example; *p; p++) {
            fputc(*p, out);
            if (*p == '\n') fputs("  ", out);
        }
        fputc('\n', out);
    }
    if (verb->options[0]) {
        fprintf(out, "\nFlags:\n");
        print_flags((option_set_t){flags_table, verb->options}, out);
    }
    fprintf(out, "\nFlags of every verb:\n");
    print_flags((option_set_t){flags_common, NULL}, out);
}

// bash and zsh ask the program itself what may come next.
int cmd_completion(ctl_t *ctl) {
    const char *shell = ctl->words.len == 1 ? ctl->words.at[0] : "";
    text_t names = TEXT_HEAP;
    for (size_t i = 0; i < LENGTH_OF(verbs); i++)
        text_addf(&names, "%s%s", i ? " " : "", verbs[i].name);
    bool zsh = streq(shell, "zsh");
    if (!zsh && !streq(shell, "bash")) {
        text_done(&names);
        return refuse("want \"bash\" or \"zsh\": troupectl completion bash");
    }
    if (zsh) printf("#compdef troupectl\nautoload -U +X bashcompinit && bashcompinit\n");
    printf("_troupectl() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"%s\"\n"
           "    elif [[ $cur == -* ]]; then words=$(troupectl __complete flags \"$verb\" "
           "2>/dev/null)\n"
           "    else words=$(troupectl __complete words \"${COMP_WORDS[@]:1:COMP_CWORD-1}\" "
           "2>/dev/null); fi\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "}\n"
           "complete -o default -F _troupectl troupectl\n",
           text_str(&names));
    text_done(&names);
    return 0;
}

static int complete_flags(const char *name) {
    const verb_t *verb = find_verb(name);
    const option_set_t sets[] = {{flags_table, verb ? verb->options : ""}, {flags_common, NULL}};
    const option_t *option;
    for (size_t i = 0; i < LENGTH_OF(sets); i++)
        for (size_t at = 0; (option = options_next(sets[i], &at));) printf("--%s\n", option->name);
    return 0;
}

// After a verb come types; after a type, the names of what is there.
static int complete_words(ctl_t *ctl, int argc, char **argv) {
    const kind_t *k;
    bool names_pods = argc >= 1 && (streq(argv[0], "logs") || streq(argv[0], "exec") ||
                                    streq(argv[0], "attach") || streq(argv[0], "port-forward"));
    if (argc <= 1 && !names_pods) {
        for (size_t i = 0; (k = kind_at(i)); i++)
            if (!k->stored_as) printf("%s\n", k->plural);
        return 0;
    }
    k = kind_by_typed_name(names_pods ? "pods" : argv[1]);
    ctl->o.request_timeout = "2s";
    objects_t found;
    failure_t failure;
    if (!k || ctl_list(ctl, k, ctl_namespace_of(ctl, k), NULL, NULL, &found, &failure))
        return EXIT_FAILED;
    for (size_t i = 0; i < found.len; i++) printf("%s\n", object_meta_read(found.at[i])->name);
    return 0;
}

static int finish(ctl_t *ctl, int code) {
    client_destroy(&ctl->client);
    flags_done(&ctl->o);
    vec_done(&ctl->words);
    vec_done(&ctl->rest);
    arena_done(&ctl->arena);
    return code;
}

// Is this word a flag whose value is the next word?
static bool takes_value(const char *word) {
    for (const option_t *o = flags_common; o->name; o++) {
        if (o->type == OPTION_FLAG) continue;
        if (has_prefix(word, "--") ? streq(word + 2, o->name)
                                   : word[1] == o->letter && o->letter && !word[2])
            return true;
    }
    return false;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (!getenv("TROUPE_LOG"))
        log_set_level(LOG_LEVEL_ERROR); // people want answers, not the links' diary
    setvbuf(stdout, NULL, _IOLBF, 0);
    ctl_t ctl = {0};
    if (argc < 2 || streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help")) {
        const verb_t *verb = argc > 2 ? find_verb(argv[2]) : NULL;
        if (verb)
            print_verb_help(verb, stdout);
        else
            print_help(stdout);
        return 0;
    }
    if (streq(argv[1], "__complete") && argc > 3 && streq(argv[2], "flags"))
        return complete_flags(argv[3]);
    if (streq(argv[1], "__complete") && argc > 2)
        return finish(&ctl, complete_words(&ctl, argc - 3, argv + 3));
    // Flags of every verb may stand before it: troupectl --trace get pods, troupectl -n test get
    // pods.
    int at = 1;
    while (at < argc && argv[at][0] == '-') at += takes_value(argv[at]) ? 2 : 1;
    const verb_t *verb = at < argc ? find_verb(argv[at]) : NULL;
    if (!verb)
        return refuse("unknown command \"%s\" for \"troupectl\"; `troupectl --help` lists them",
                      at < argc ? argv[at] : argv[1]);
    for (int i = at; i > 1; i--) argv[i] = argv[i - 1]; // the verb steps out of the row
    ctl.verb = verb->name;
    why_t why;
    const option_set_t sets[] = {{flags_table, verb->options}, {flags_common, NULL}};
    err_t err = options_read(sets, LENGTH_OF(sets), argc - 2, (const char *const *)argv + 2, &ctl.o,
                             &ctl.words, &ctl.rest, &why);
    if (err)
        return finish(&ctl,
                      refuse("%s\nSee 'troupectl %s --help' for usage.", why.text, verb->name));
    if (ctl.o.help) {
        print_verb_help(verb, stdout);
        return finish(&ctl, 0);
    }
    int code = verb->run(&ctl);
    if (ctl.o.trace && ctl.client) {
        int traced = cmd_trace(&ctl);
        if (!code) code = traced;
    }
    return finish(&ctl, code);
}
