package build

import (
	"context"
	"io"
)

// Unpack lays a cache's entry out below dir, as restore does.
func Unpack(ctx context.Context, dir string, paths []string, entry io.Reader) (int, error) {
	p, err := compile(paths)
	if err != nil {
		return 0, err
	}
	r := &running{plan: Plan{Dir: dir, Keep: Keep{Files: 100, Bytes: 1 << 20, Reports: 1, Report: 1}}}
	return r.unpack(ctx, cached{paths: p}, entry)
}
