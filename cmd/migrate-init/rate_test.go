package main

import (
	"testing"

	"migrate-init/pkg/stage"
)

func TestRate(t *testing.T) {
	for s, want := range map[string]int64{"": 0, "max": stage.SpeedMost, "50M": 50 << 20, "1G": 1 << 30, "2048": 2048, "4K": 4096, "0": -1, "-5M": -1, "fast": -1, "12": -1, "9999999999G": -1, "5MiB": -1} {
		got, err := rate(s)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}
