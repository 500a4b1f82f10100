package gitdoor_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/haechi-dev/haechi/base/git/gittest"
)

// A push of 20 MB that nobody can pack, to the door and, to compare, to the bare repository beside it.
func BenchmarkPush(b *testing.B) {
	const files, size = 4, 5 << 20
	push := func(b *testing.B, to func(i int) (address, ref string)) {
		c := gittest.New(b)
		random := rand.NewChaCha8([32]byte{})
		b.SetBytes(files * size)
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			for f := range files {
				noise := make([]byte, size)
				_, _ = random.Read(noise)
				if err := os.WriteFile(filepath.Join(c.Dir, strconv.Itoa(f)), noise, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			c.Git("add", "-A")
			c.Git("commit", "-q", "-m", "noise")
			address, ref := to(i)
			b.StartTimer()
			c.Git("-c", "pack.compression=0", "push", "-q", address, "HEAD:"+ref)
		}
	}
	b.Run("door", func(b *testing.B) {
		h := open(b, nil)
		push(b, func(int) (string, string) { return h.at("shop"), "refs/heads/main" })
	})
	b.Run("bare", func(b *testing.B) {
		r := gittest.Bare(b, "bare.git")
		push(b, func(int) (string, string) { return r.Dir(), "refs/heads/main" })
	})
}
