-- a worker's session in Kappa mode: one plan for every flush, and an end for a statement that hangs
SELECT set_config('statement_timeout', '30s', false), set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('jit', 'off', false);
