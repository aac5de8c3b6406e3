-- For the rest of the transaction, as aggregation has it: sorts in memory, and no compiling of statements that run once.
select set_config('work_mem', '128MB', true), set_config('jit', 'off', true);
