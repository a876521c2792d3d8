package integration

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// access is a way in which a nats-server lets nodes in.
type access struct {
	config []string // of the server
	flags  []string // that let a node in
	wrong  []string // that do not
}

// accesses make one each, with its files in dir.
var accesses = map[string]func(t *testing.T, dir string) access{
	"user and password": func(*testing.T, string) access {
		return access{
			config: []string{`authorization { user: "caster", password: "s3cret" }`},
			flags:  []string{"--user", "caster", "--password", "s3cret"},
			wrong:  []string{"--user", "caster", "--password", "wrong"},
		}
	},
	"token": func(*testing.T, string) access {
		return access{
			config: []string{`authorization { token: "t0ken" }`},
			flags:  []string{"--user", "t0ken"},
			wrong:  []string{"--user", "wrong"},
		}
	},
	"nkey": func(t *testing.T, dir string) access {
		user, stranger := newKey(t, nkeys.CreateUser), newKey(t, nkeys.CreateUser)
		return access{
			config: []string{fmt.Sprintf("authorization { users: [ { nkey: %s } ] }", user.public)},
			flags:  []string{"--nkey", seedFile(t, dir, "user.nk", user)},
			wrong:  []string{"--nkey", seedFile(t, dir, "stranger.nk", stranger)},
		}
	},
	"credentials": credentials,
	"TLS": func(t *testing.T, dir string) access {
		return tlsAccess(t, dir, "verify: true")
	},
	"TLS first": func(t *testing.T, dir string) access {
		a := tlsAccess(t, dir, "verify: true, handshake_first: true")
		a.flags = append(a.flags, "--tlsfirst")
		a.wrong = append(a.wrong, "--tlsfirst")
		return a
	},
}

func tlsAccess(t *testing.T, dir, options string) access {
	ca, other := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other")
	serverCert, serverKey := ca.issue(t, dir, "server")
	cert, key := ca.issue(t, dir, "client")
	wrongCert, wrongKey := other.issue(t, dir, "stranger")
	return access{
		config: []string{fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, %s }", serverCert, serverKey, ca.file, options)},
		flags:  []string{"--tlsca", ca.file, "--tlscert", cert, "--tlskey", key},
		wrong:  []string{"--tlsca", ca.file, "--tlscert", wrongCert, "--tlskey", wrongKey},
	}
}

// A node that is let in takes a publisher and its player; one that is not says so
// in a line and ends.
func TestAccess(t *testing.T) {
	t.Parallel()
	for name, make := range accesses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := make(t, t.TempDir())
			s := startNATS(t, a.config...)
			n := startNode(t, "edge", append([]string{"--nats", s.url}, a.flags...)...)
			start(t, binary(), "publish", n.url("a"))
			if r := playJSON(t, "--duration", "2s", n.url("a")); r.Failed != 0 || r.Gaps != 0 || r.VideoFrames == 0 {
				t.Errorf("%+v", r)
			}
			for what, flags := range map[string][]string{"wrong": a.wrong, "missing": nil} {
				refused := runToEnd(t, append([]string{"edge", "--rtmp", "127.0.0.1:0", "--nats", s.url}, flags...)...)
				if refused.status != 1 || !isOneLine(refused.stderr) || !strings.Contains(refused.stderr, hostPort(s.url)) {
					t.Errorf("%s: %+v; want one line about %s", what, refused, s.url)
				}
				if what == "wrong" && strings.Contains(refused.stderr, "unreachable") {
					t.Errorf("a server that refuses is not unreachable: %s", refused.stderr)
				}
				t.Logf("%s: %s", what, strings.TrimSpace(refused.stderr))
			}
		})
	}
}

func hostPort(url string) string {
	_, address, _ := strings.Cut(url, "://")
	if _, _, err := net.SplitHostPort(address); err != nil {
		panic(err)
	}
	return address
}

// key is an nkey and the forms in which it is needed.
type key struct {
	nkeys.KeyPair
	public string
	seed   []byte
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) key {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return key{pair, public, seed}
}

func seedFile(t *testing.T, dir, name string, k key) string {
	t.Helper()
	file := filepath.Join(dir, name)
	writeFile(t, file, string(k.seed))
	return file
}

// credentials make an operator with a system account and one for media, whose user has a creds
// file.
func credentials(t *testing.T, dir string) access {
	operator := newKey(t, nkeys.CreateOperator)
	system, account := newKey(t, nkeys.CreateAccount), newKey(t, nkeys.CreateAccount)

	operatorClaims := jwt.NewOperatorClaims(operator.public)
	operatorClaims.SystemAccount = system.public
	accountClaims := jwt.NewAccountClaims(account.public)
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	return access{
		config: []string{
			"operator: " + sign(t, operatorClaims, operator),
			"system_account: " + system.public,
			"resolver: MEMORY",
			fmt.Sprintf("resolver_preload { %s: %s, %s: %s }",
				system.public, sign(t, jwt.NewAccountClaims(system.public), operator),
				account.public, sign(t, accountClaims, operator)),
		},
		flags: []string{"--creds", credsFile(t, dir, "user.creds", account)},
		wrong: []string{"--creds", credsFile(t, dir, "stranger.creds", newKey(t, nkeys.CreateAccount))},
	}
}

func sign(t *testing.T, claims jwt.Claims, by key) string {
	t.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// credsFile makes a user of an account.
func credsFile(t *testing.T, dir, name string, account key) string {
	t.Helper()
	user := newKey(t, nkeys.CreateUser)
	creds, err := jwt.FormatUserConfig(sign(t, jwt.NewUserClaims(user.public), account), user.seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	writeFile(t, file, string(creds))
	return file
}
