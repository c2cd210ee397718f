/* The registry: every command is a `const struct command` in a file of its own. */
#include "cli/cli.h"

extern const struct command command_serve, command_worker, command_netd, command_scan, command_run,
    command_job_list, command_job_show, command_job_watch, command_job_cancel, command_job_retry,
    command_job_delete, command_job_raw, command_job_tasks, command_profiles, command_import,
    command_export, command_diff, command_jobs, command_doctor, command_key, command_audit,
    command_policy, command_tls, command_reparse, command_config, command_version, command_help,
    command_queue, command_dead_letter, command_health, command_repo, command_finding_list,
    command_finding_show, command_finding_triage;

static const struct command *const job_commands[] = {
    &command_job_list,   &command_job_show,  &command_job_watch,
    &command_job_cancel, &command_job_retry, &command_job_delete,
    &command_job_raw,    &command_job_tasks, NULL,
};

static const struct command command_job = {
    .name = "job",
    .summary = "jobs of a server: list, show, watch, cancel, retry, delete, raw, tasks",
    .subs = job_commands,
};

static const struct command *const finding_commands[] = {
    &command_finding_list,
    &command_finding_show,
    &command_finding_triage,
    NULL,
};

static const struct command command_finding = {
    .name = "finding",
    .summary = "findings of repository scans: list, show, triage",
    .subs = finding_commands,
};

const struct command *const commands[] = {
    &command_serve,    &command_worker,
    &command_scan,     &command_run,
    &command_repo,     &command_finding,
    &command_job,      &command_jobs,
    &command_queue,    &command_dead_letter,
    &command_profiles, &command_import,
    &command_export,   &command_diff,
    &command_key,      &command_audit,
    &command_policy,   &command_tls,
    &command_health,   &command_doctor,
    &command_reparse,  &command_config,
    &command_help,     &command_version,
    &command_netd,     NULL,
};
