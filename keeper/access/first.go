package access

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// AdminUser is the user that the first start makes.
const AdminUser = "admin"

// FirstFile is the file, in the data folder, that tells the first credentials
// to whoever owns the folder. It goes once both were used.
const FirstFile = "first-credentials"

// Credentials are what AdminUser begins with.
type Credentials struct {
	KeyID    string
	Secret   seal.Secret
	Password seal.Secret
}

// ReadCredentials reads an AWS credentials file with a profile "default" that
// also has a line console_password.
func ReadCredentials(name string) (c Credentials, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return c, fault.Invalid.Errorf("reading the administrator's credentials: %w", err)
	}
	profile := ""
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if strings.HasPrefix(line, "[") {
			profile = strings.Trim(line, "[] ")
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		if profile != "default" {
			continue
		}
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			c.KeyID = value
		case "aws_secret_access_key":
			c.Secret = seal.Secret(value)
		case "console_password":
			c.Password = seal.Secret(value)
		}
	}
	if c.KeyID == "" || c.Secret == "" || c.Password == "" {
		return c, fault.Invalid.Errorf("%s has no profile [default] with aws_access_key_id, aws_secret_access_key and console_password", name)
	}
	return c, nil
}

func (c Credentials) text() []byte {
	return []byte("[default]\naws_access_key_id = " + c.KeyID + "\naws_secret_access_key = " + c.Secret.Reveal() + "\nconsole_password = " + c.Password.Reveal() + "\n")
}

// First makes AdminUser where there is no user yet, with the credentials given
// or with new ones, and writes them to FirstFile in folder. made is nil where
// there were users.
func (a *Access) First(ctx context.Context, folder string, given *Credentials) (made *Credentials, err error) {
	users, err := a.Users(ctx)
	if err != nil || len(users) > 0 {
		return nil, err
	}
	c := Credentials{KeyID: newID("AKIA"), Secret: seal.Secret(newSecret()), Password: newPassword()}
	if given != nil {
		c = *given
	}
	// The file first: if we die in between, the next start makes both anew.
	if err := writePrivate(filepath.Join(folder, FirstFile), c.text()); err != nil {
		return nil, fmt.Errorf("writing the first credentials: %w", err)
	}
	return &c, a.create(ctx, AdminUser, c)
}

func (a *Access) create(ctx context.Context, user string, c Credentials) error {
	if err := a.CreateUser(ctx, user, Administrator); err != nil {
		return err
	}
	if err := a.PutKey(ctx, user, c.KeyID, c.Secret); err != nil {
		return err
	}
	return a.SetPassword(ctx, user, c.Password)
}

// Reset gives AdminUser a new access key and a new password in place of all
// former ones, makes the user where it is gone, and writes FirstFile again. It
// is for who owns the folder and has lost the way in. Access keys of others that
// the root key does not open are of no use to anybody any more, and go.
func (a *Access) Reset(ctx context.Context, folder string) (Credentials, error) {
	c := Credentials{KeyID: newID("AKIA"), Secret: seal.Secret(newSecret()), Password: newPassword()}
	if err := writePrivate(filepath.Join(folder, FirstFile), c.text()); err != nil {
		return c, fmt.Errorf("writing the new credentials: %w", err)
	}
	lost, err := a.lost(ctx)
	if err != nil {
		return c, err
	}
	err = a.change(ctx, func(tx *db.Tx) error {
		for _, id := range lost {
			if _, err := tx.Exec("DELETE FROM access_keys WHERE id = ?", id); err != nil {
				return err
			}
		}
		// The root key may be another now: what signs tokens is made anew.
		if _, err := tx.Exec("DELETE FROM access_things WHERE kind = ?", string(aSigner)); err != nil {
			return err
		}
		return dropUser(tx, AdminUser)
	})
	if err != nil {
		return c, err
	}
	return c, a.create(ctx, AdminUser, c)
}

// lost are the access keys that the root key does not open.
func (a *Access) lost(ctx context.Context) (ids []string, err error) {
	d, err := a.Directory(ctx)
	if err != nil {
		return nil, err
	}
	for id, k := range d.keys {
		if _, err := a.config.Sealer.Open(keyRow(id), k.sealed); err != nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// CheckKey is fault.Conflict if there are access keys that the root key does not
// open: a folder that came back without its root.key, say.
func (a *Access) CheckKey(ctx context.Context) error {
	ids, err := a.lost(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	return fault.Conflict.Errorf("the root key does not open %d of the access keys in the database: put the root.key back that they were sealed under (HAECHI_ROOT_KEY_FILE names another file), or give them up with 'haechi access reset', after which the secrets of targets have to be entered anew", len(ids))
}

// dropFirst removes FirstFile once its access key and its password were both used.
func (a *Access) dropFirst(ctx context.Context) error {
	if a.config.Folder == "" {
		return nil
	}
	name := filepath.Join(a.config.Folder, FirstFile)
	c, err := ReadCredentials(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var both int64
	err = a.config.DB.Read(ctx, func(tx *db.Tx) error {
		both, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM access_keys k JOIN access_users u ON u.name = k.user_name WHERE k.id = ? AND k.used > 0 AND u.signed_in > 0", c.KeyID)
		return err
	})
	if err != nil || both == 0 {
		return err
	}
	a.config.Log.Info("the first credentials were used; their file is removed", "file", name)
	return os.Remove(name)
}

func newPassword() seal.Secret {
	var raw [15]byte
	rand.Read(raw[:])
	text := strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
	return seal.Secret(text[:6] + "-" + text[6:12] + "-" + text[12:18] + "-" + text[18:])
}

func writePrivate(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".first-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
