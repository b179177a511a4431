// metrics - counts of actors as Prometheus' text format (exposition 0.0.4).
#pragma once
#include "runtime/base/text.h"
#include "troupe/actor.pb-c.h"

// `infos` and `metrics` as system/PROCESS answers ListActors and GetMetrics; either may be NULL.
// A metric's name may carry labels of its own: `requests_total{verb="get"}`.
void metrics_print(const Actor__ActorInfos *infos, const Actor__Metrics *metrics, text_t *out);
