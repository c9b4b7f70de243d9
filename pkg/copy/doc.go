// Package copy copies whole filesystems with one of two engines: pkg/tree (file by file) and pkg/extent (used blocks).
// It knows neither plans nor journals. Its two callers are the stages of a migration and the command `migrate-init copy`.
//
// Contract:
//   - A [Job] names two sides and an engine. Precheck reports what the target will not hold, Copy copies and syncs,
//     Verify reads the target back from its disk and compares, Finalize returns the effects that give a verified copy
//     its own identity.
//   - A copy by blocks is not a filesystem to anyone until Finalize: the first 4096 bytes of the target are held back, so
//     that no two filesystems carry one UUID at any instant.
//   - A copy that was cut short goes on from its last checkpoint (Job.Resume). The source must not have been written to
//     since; the caller has to know that, and compares a stamp of the source that it kept with the checkpoint.
package copy
