package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/backup"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/word/fault"
)

func backupVerb() verb {
	return verb{name: "backup", args: "FILE", summary: "all state in one file, while the server runs", help: `
  haechi backup /backups/haechi-$(date +%F).tar.gz
  haechi backup - | ssh host 'cat > haechi.tar.gz'
  haechi backup -with-root-key FILE       with the key, too: keep FILE as safe as the key

The file holds the database, repositories, files, the journal and haechi.yaml,
with checksums. root.key is not in it unless asked for: keep a copy of it
elsewhere, since access keys and targets' secrets cannot be read without it.
Where the state is in PostgreSQL, dump that first with pg_dump. What lies in a
bucket (blobs in haechi.yaml) is not in the file either.`, run: backUp}
}

func backUp(ctx context.Context, c call, flags *flag.FlagSet) (err error) {
	read := serverFlags(c, flags)
	withKey := flags.Bool("with-root-key", false, "put root.key into the file, too")
	rest, err := parse(c, flags, 1, 1)
	if err != nil {
		return err
	}
	config, err := read()
	if err != nil {
		return err
	}
	database, err := config.DatabaseURL(c.env)
	if err != nil {
		return err
	}
	if _, err := os.Stat(config.Data); err != nil {
		return fault.Invalid.Errorf("there is no installation in %s (-data names another folder): %w", config.Data, err)
	}
	if rest[0] != "-" && within(config.Data, rest[0]) {
		return usagef("%s lies in the data folder, and would be part of the next backup: give a place outside", rest[0])
	}
	s := backup.Source{Folder: config.Data, About: backup.About{Version: versionText(), Time: time.Now().UTC(), State: "state.db", Key: *withKey}, Late: late}
	s.Skip = func(name string) bool { return leftOut(name, *withKey) }
	if strings.HasPrefix(database, "sqlite:") {
		folder, err := os.MkdirTemp("", "haechi-backup-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		s.State = filepath.Join(folder, "state.db")
		if err := db.Copy(ctx, database, s.State); err != nil {
			return fmt.Errorf("copying the database: %w", err)
		}
	} else {
		s.About.State = "postgres"
		fmt.Fprintln(c.stderr, "haechi backup: the state is in PostgreSQL and not in this file; pg_dump it, before this")
	}
	if s.About.Files, err = bucketOf(config, c.env); err != nil {
		return err
	}
	if s.About.Files != "" {
		fmt.Fprintf(c.stderr, "haechi backup: artifacts and caches are in %s and not in this file; keep versions of them there\n", s.About.Files)
	}
	if rest[0] == "-" {
		_, err := backup.Write(c.stdout, s)
		return err
	}
	size, err := writeWhole(rest[0], func(w io.Writer) (backup.Size, error) { return backup.Write(w, s) })
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%s: %d files, %d bytes\n", rest[0], size.Files, size.Bytes)
	if !*withKey {
		fmt.Fprintf(c.stderr, "haechi backup: %s is not in it; keep a copy elsewhere\n", filepath.Join(config.Data, "root.key"))
	}
	return nil
}

// bucketOf is the bucket that files are kept in, as people know it, or "".
func bucketOf(config app.Config, env func(string) string) (string, error) {
	at, err := config.BlobsAddress(env)
	if err != nil {
		return "", err
	}
	at, _, _ = strings.Cut(at, "?")
	return at, nil
}

// within tells whether a file would lie in a folder.
func within(folder, file string) bool {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return false
	}
	if file, err = filepath.Abs(file); err != nil {
		return false
	}
	name, err := filepath.Rel(folder, file)
	return err == nil && filepath.IsLocal(name)
}

// leftOut are files that are no state of their own, or that must not lie in a backup.
func leftOut(name string, withKey bool) bool {
	switch {
	case name == "root.key":
		return !withKey
	case strings.HasPrefix(name, "state.db"), strings.HasPrefix(name, "."): // a copy of it goes in; what is under way does not
		return true
	}
	return slices.Contains([]string{"lock", "hooks", "work", "tmp", access.FirstFile, audit.HeadsFile}, name)
}

// late are the objects of repositories, which refs point to.
func late(name string) bool {
	return strings.HasPrefix(name, "repos/") && path.Base(name) == "objects"
}

// writeWhole writes a new file that is there only once it is whole.
func writeWhole(name string, write func(io.Writer) (backup.Size, error)) (size backup.Size, err error) {
	if _, err := os.Lstat(name); err == nil {
		return size, fault.Exists.Errorf("%s is there already: give another name, or remove it first", name)
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return size, fault.Invalid.Wrap(err)
	}
	defer os.Remove(f.Name()) // where it was not renamed
	size, err = write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return size, err
	}
	return size, os.Rename(f.Name(), name)
}

func restoreVerb() verb {
	return verb{name: "restore", args: "FILE", summary: "a data folder from a backup", help: `
  haechi restore -data /var/lib/haechi haechi-2026-11-25.tar.gz
  ssh host cat haechi.tar.gz | haechi restore -data /var/lib/haechi -

The data folder must be empty, or not there yet. A file that is cut off or was
changed is refused, and nothing of it stays. Put root.key back into the folder
before the server starts, unless the backup was made with -with-root-key.`, run: restore}
}

func restore(_ context.Context, c call, flags *flag.FlagSet) error {
	data := flags.String("data", "", "the `folder` to restore to (HAECHI_DATA)")
	rest, err := parse(c, flags, 1, 1)
	if err != nil {
		return err
	}
	config := app.Default(c.env)
	config.Environment(c.env)
	if *data != "" {
		config.Data = *data
	}
	in := c.stdin
	if rest[0] != "-" {
		f, err := os.Open(rest[0])
		if err != nil {
			return fault.Invalid.Wrap(err)
		}
		defer f.Close()
		in = f
	}
	about, size, err := backup.Restore(in, config.Data)
	if err != nil {
		if fault.Of(err) == fault.Invalid {
			err = fault.Conflict.Wrap(err) // the file is what is wrong
		}
		return err
	}
	fmt.Fprintf(c.stdout, "%s: %d files, %d bytes, as of %s\n", config.Data, size.Files, size.Bytes, about.Time.Format(time.RFC3339))
	if !about.Key {
		fmt.Fprintf(c.stderr, "haechi restore: put root.key into %s before the server starts: it was not in the backup\n", config.Data)
	}
	if about.State == "postgres" {
		fmt.Fprintln(c.stderr, "haechi restore: the state is in PostgreSQL: restore that with pg_restore")
	}
	if about.Files != "" {
		fmt.Fprintf(c.stderr, "haechi restore: artifacts and caches are in %s: blobs in haechi.yaml has to name it\n", about.Files)
	}
	return nil
}
