// Package copy copies whole filesystems with one of two engines: pkg/tree (file by file) and pkg/extent (used blocks).
// It knows neither plans nor journals. Its two callers are the stages of a migration and the command `migrate-init copy`.
//
// Contract:
//   - A [Job] names two sides and an engine. Precheck reports what the target will not hold, Copy copies and syncs,
//     Verify reads the target back from its disk and compares, Finalize returns the effects that give a verified copy
//     its own identity.
//   - A copy by blocks is not a filesystem to anyone until Finalize: the first 4096 bytes of the target are held back, so
//     that no two filesystems carry one UUID at any instant.
//   - A copy that was interrupted resumes from its last checkpoint (Job.Resume). Checkpoints go to two slots in turn
//     ([Slots]), so that a torn write leaves the one before. One counts only for the same copy and the same state of the
//     source ([Checkpoints.Attach]): a mixture of two states is not a copy.
//   - Where the slots lie is the caller's: a migration has them at the end of its journal, [Dir] in a file in the root of
//     the target, [Device] in the first bytes of the target.
package copy
