package probe

import (
	"encoding/binary"
	"fmt"
)

// Log is the state of a filesystem's log.
type Log string

// The states.
const (
	LogClean   Log = "clean"   // the last record is that of a clean unmount
	LogDirty   Log = "dirty"   // a mount would replay records
	LogUnknown Log = "unknown" // cannot be determined; treat it as dirty
)

const (
	xfsBasic      = 512     // the log's unit in bytes, whatever the sector size
	xfsInFlight   = 2 << 20 // eight buffers of 256 KiB may be in flight at a crash
	xfsRecord     = 0xfeedbabe
	xfsUnmount    = 0x20 // XLOG_UNMOUNT_TRANS
	xfsHeaderSpan = 32 << 10
)

// xfsLog finds the head of the log as fs/xfs/xfs_log_recover.c does, by the cycle number at the start of every 512-byte
// block: blocks before the head have the current cycle, blocks behind it the previous one (or zeros, if the log was
// never filled). The log is clean if the last record before the head is a lone unmount record that ends exactly at the
// head. It is unknown if these rules do not decide; xfsLog never assumes that a log is clean. at identifies the head,
// which every write moves.
func xfsLog(d *device, off, size int64) (state Log, note, at string) {
	blocks := size / xfsBasic
	cycle := func(i int64) uint32 {
		b := d.read(off+i*xfsBasic, 8)
		if b == nil {
			return 0
		}
		if c := binary.BigEndian.Uint32(b); c != xfsRecord {
			return c
		}
		return binary.BigEndian.Uint32(b[4:])
	}
	if off+size > d.size {
		return LogUnknown, "the log reaches beyond the device", ""
	}
	first, last := cycle(0), cycle(blocks-1)
	if first == 0 {
		return LogUnknown, "the log is all zeros", ""
	}
	head := blocks // where the next record would go if the whole log has one cycle
	if first != last {
		if last != first-1 && last != 0 {
			return LogUnknown, fmt.Sprintf("cycles %d and %d at the log's ends", first, last), ""
		}
		low, high := int64(0), blocks-1 // cycle(low) == first, cycle(high) != first
		for high-low > 1 {
			if mid := low + (high-low)/2; cycle(mid) == first {
				low = mid
			} else {
				high = mid
			}
		}
		head = high
	}
	at = fmt.Sprintf("%d:%d", first, head)
	from := max(head-xfsInFlight/xfsBasic, 0)
	window := d.read(off+from*xfsBasic, int((head-from)*xfsBasic))
	if window == nil {
		return LogUnknown, "the log could not be read", at
	}
	be := binary.BigEndian
	record := int64(-1)
	for i := range head - from {
		b := window[i*xfsBasic:]
		c := be.Uint32(b)
		if c == xfsRecord {
			record = i
			c = be.Uint32(b[4:])
		}
		if c != first {
			return LogDirty, fmt.Sprintf("block %d of the log has cycle %d before its head: a write was cut off", from+i, c), at
		}
	}
	if record < 0 {
		return LogUnknown, "no record header before the log's head", at
	}
	h := window[record*xfsBasic:]
	header := int64(1)
	if n := int64(be.Uint32(h[320:])); be.Uint32(h[8:])&2 != 0 && n > xfsHeaderSpan {
		header = (n + xfsHeaderSpan - 1) / xfsHeaderSpan
	}
	length := (int64(be.Uint32(h[12:])) + xfsBasic - 1) / xfsBasic
	op := (record + header) * xfsBasic
	switch {
	case be.Uint32(h[40:]) != 1:
		return LogDirty, fmt.Sprintf("the last record has %d operations; an unmount record has one", be.Uint32(h[40:])), at
	case from+record+header+length != head:
		return LogDirty, fmt.Sprintf("the last record ends at block %d, the log's head is %d", from+record+header+length, head), at
	case op+12 > int64(len(window)):
		return LogUnknown, "the last record has no room for its operation", at
	case window[op+9]&xfsUnmount == 0:
		return LogDirty, "the last record is not an unmount record", at
	}
	return LogClean, "", at
}
