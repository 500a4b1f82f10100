package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/word/fault"
)

// VerifyAudit reads the audit trail of an installation from its database and
// its root key alone, whether a server runs or not, and holds it against what
// was noted in the data folder and elsewhere.
func VerifyAudit(ctx context.Context, c Config, env func(string) string, noted ...audit.Head) (audit.Report, error) {
	d, sealer, err := c.ledger(ctx, env)
	if err != nil {
		return audit.Report{}, err
	}
	defer d.Close()
	own, err := audit.ReadHeads(c.Data)
	if err != nil {
		return audit.Report{}, err
	}
	return audit.Verify(ctx, d, sealer, append(own, noted...)...)
}

// ledger opens what the audit trail is verified with, and makes nothing that is not there.
func (c *Config) ledger(ctx context.Context, env func(string) string) (*db.DB, *seal.Sealer, error) {
	key := env("HAECHI_ROOT_KEY_FILE")
	if key == "" {
		key = filepath.Join(c.Data, "root.key")
	}
	sealer, err := seal.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.Invalid.Errorf("there is no root key in %s: -data names the folder of an installation, HAECHI_ROOT_KEY_FILE a key elsewhere", key)
	}
	if err != nil {
		return nil, nil, err
	}
	url, err := c.database(env)
	if err != nil {
		return nil, nil, err
	}
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return nil, nil, fault.Invalid.Errorf("there is no database: %w (-data or -database names another)", err)
		}
	}
	d, err := db.Open(ctx, url, Schemas()...)
	return d, sealer, err
}
