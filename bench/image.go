package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// image measures the inventory of image.tar, which lies beside the program, against osv-scanner there: image.sh makes both.
func image(program string) error {
	folder := filepath.Dir(program)
	file, peer := filepath.Join(folder, "image.tar"), filepath.Join(folder, "osv-scanner")
	for _, needed := range []string{file, peer} {
		if _, err := os.Stat(needed); err != nil {
			return fmt.Errorf("%w: image.sh makes it", err)
		}
	}
	rounds := 3
	if asked := os.Getenv("ROUNDS"); asked != "" {
		var err error
		if rounds, err = strconv.Atoi(asked); err != nil || rounds < 1 {
			return fmt.Errorf("ROUNDS is a number, not %q", asked)
		}
	}
	return compareRounds(rounds, "image", filepath.Base(file), []string{program, "sbom", "-format", "json", file},
		[]string{peer, "scan", "image", "--archive", "--offline", "--offline-vulnerabilities", "--all-packages", "--format", "json", file}, nil)
}
