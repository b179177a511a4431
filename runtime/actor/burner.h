// burner - threads that do nothing, busily: the fault that takes the processor away.
#pragma once

typedef struct burner burner_t;
// One thread per processor, each busy for this share (0 … 1) of its time. 0 ends them. The burner
// is made on first use; destroyed with share 0.
void burner_set(burner_t **burner, double share);
