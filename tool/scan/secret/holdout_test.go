package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/finding"
)

// form is a way in which a value is written. $N is its name, in the case that
// the form is used to, $V the value; escape makes the value fit.
type form struct {
	path   string
	text   string
	escape func(string) string
}

func inJSON(s string) string { q := strconv.Quote(s); return q[1 : len(q)-1] }
func inXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;").Replace(s)
}
func inURL(s string) string    { return url.QueryEscape(s) }
func inBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
func inHex(s string) string    { return hex.EncodeToString([]byte(s)) }

// halves is a literal of two, joined by what stands between.
func halves(between string) func(string) string {
	return func(s string) string { return s[:len(s)/2] + between + s[len(s)/2:] }
}

// assignments are the forms of a name and its value.
func assignments() []form {
	return []form{
		// languages
		{"main.go", "\tcfg := Config{$Camel: \"$V\"}\n", nil},
		{"main.go", "var $camel string = `$V`\n", nil},
		{"main.go", "\tos.Setenv(\"$UPPER\", \"$V\")\n", nil},
		{"main.go", "\tflag.String(\"$kebab\", \"$V\", \"for the service\")\n", nil},
		{"main.go", "const (\n\tport = 1\n\t$camel     = \"$V\"\n)\n", nil},
		{"Main.java", "        builder.set$Camel(\"$V\");\n", nil},
		{"Main.java", "        props.setProperty(\"$dotted\", \"$V\");\n", nil},
		{"Main.java", "    @Value(\"${$dotted:$V}\")\n    private String p;\n", nil},
		{"Main.java", "        map.put(\"$camel\", \"$V\");\n", nil},
		{"Main.kt", "    val $camel: String? = \"$V\"\n", nil},
		{"Main.scala", "  val $camel = \"\"\"$V\"\"\"\n", nil},
		{"app.js", "const config = { $camel: '$V' };\n", nil},
		{"app.js", "process.env.$UPPER = '$V';\n", nil},
		{"app.js", "process.env['$UPPER'] = \"$V\"\n", nil},
		{"app.js", "module.exports.$camel = `$V`;\n", nil},
		{"app.js", "const $camel = process.env.$UPPER || '$V';\n", nil},
		{"app.ts", "  private readonly $camel: string = '$V';\n", nil},
		{"app.ts", "  $camel: process.env.$UPPER ?? \"$V\",\n", nil},
		{"app.py", "$UPPER: Final[str] = '$V'\n", nil},
		{"app.py", "client = Client(host=\"db\", $snake=\"$V\")\n", nil},
		{"app.py", "os.environ[\"$UPPER\"] = \"$V\"\n", nil},
		{"app.py", "$snake = os.getenv(\"$UPPER\", \"$V\")\n", nil},
		{"app.py", "$snake = os.environ.get('$UPPER') or '$V'\n", nil},
		{"app.py", "d = {'user': 'x', '$snake': '$V'}\n", nil},
		{"app.py", "parser.add_argument(\"--$kebab\", default=\"$V\")\n", nil},
		{"app.py", "$snake = (\n    \"$V\"\n)\n", nil},
		{"app.py", "$snake = r'$V'\n", nil},
		{"app.rb", "  config.$snake = '$V'\n", nil},
		{"app.rb", "ENV['$UPPER'] ||= '$V'\n", nil},
		{"app.rb", "  :$snake => \"$V\",\n", nil},
		{"app.rb", "ENV.fetch('$UPPER', '$V')\n", nil},
		{"app.php", "$config['$snake'] = '$V';\n", nil},
		{"app.php", "    '$snake' => env('$UPPER', '$V'),\n", nil},
		{"app.php", "define(\"$UPPER\", \"$V\");\n", nil},
		{"app.php", "const $UPPER = '$V';\n", nil},
		{"app.php", "putenv('$UPPER=$V');\n", nil},
		{"App.cs", "    public string $Camel { get; set; } = \"$V\";\n", nil},
		{"App.cs", "    var c = new NetworkCredential { $Camel = @\"$V\" };\n", nil},
		{"App.vb", "    Dim $camel As String = \"$V\"\n", nil},
		{"app.c", "#define $UPPER \"$V\"\n", nil},
		{"app.c", "static const char *$snake = \"$V\";\n", nil},
		{"app.c", "char $snake[] = \"$V\";\n", nil},
		{"app.cpp", "const std::string k$Camel{\"$V\"};\n", nil},
		{"app.rs", "const $UPPER: &str = \"$V\";\n", nil},
		{"app.rs", "    let $snake = String::from(\"$V\");\n", nil},
		{"app.rs", "    let $snake = \"$V\".to_string();\n", nil},
		{"App.swift", "    let $camel = \"$V\"\n", nil},
		{"App.m", "NSString *$camel = @\"$V\";\n", nil},
		{"app.dart", "  static const String $camel = '$V';\n", nil},
		{"app.lua", "local $snake = '$V'\n", nil},
		{"app.pl", "my $$snake = '$V';\n", nil},
		{"app.ex", "config :app, $snake: \"$V\"\n", nil},
		{"app.erl", "    {$snake, \"$V\"},\n", nil},
		{"app.hs", "$camel = \"$V\"\n", nil},
		{"app.clj", "(def $kebab \"$V\")\n", nil},
		{"app.clj", "{:$kebab \"$V\"}\n", nil},
		{"app.R", "$snake <- \"$V\"\n", nil},
		{"app.jl", "const $UPPER = \"$V\"\n", nil},
		{"app.ps1", "$$Camel = '$V'\n", nil},
		{"app.ps1", "$env:$UPPER = \"$V\"\n", nil},
		{"app.ps1", "$p = ConvertTo-SecureString '$V' -AsPlainText -Force # $camel\n", nil},
		{"app.groovy", "def $camel = '$V'\n", nil},
		{"Jenkinsfile", "    environment { $UPPER = '$V' }\n", nil},
		{"build.gradle", "        $camel '$V'\n", nil},
		{"build.gradle.kts", "            $camel = \"$V\"\n", nil},
		{"gradle.properties", "$camel=$V\n", nil},
		{"app.sol", "string constant $UPPER = \"$V\";\n", nil},
		{"app.nix", "  $camel = \"$V\";\n", nil},
		{"app.bat", "set $UPPER=$V\r\n", nil},
		{"app.fish", "set -x $UPPER '$V'\n", nil},
		{"app.sql", "SET @$snake = '$V';\n", nil},
		// configuration
		{".env", "$UPPER=$V\n", nil},
		{".env.production", "export $UPPER='$V'\n", nil},
		{"compose.yaml", "services:\n  a:\n    environment:\n      - $UPPER=$V\n", nil},
		{"compose.yaml", "services:\n  a:\n    environment:\n      $UPPER: \"$V\"\n", nil},
		{"values.yaml", "auth:\n  $camel: $V\n", nil},
		{"values.yaml", "$camel: '$V' # set by hand\n", nil},
		{"values.yaml", "db: {user: app, $camel: \"$V\"}\n", nil},
		{"values.yaml", "$camel: !!str $V\n", nil},
		{"values.yaml", "$camel: &anchor \"$V\"\n", nil},
		{"app.yml", "env:\n- name: $UPPER\n  value: $V\n", nil},
		{"app.yml", "$camel: >\n  $V\n", nil},
		{"playbook.yml", "  vars:\n    $snake: \"$V\"\n", nil},
		{"hosts.ini", "web1 ansible_host=10.0.0.1 $snake=$V\n", nil},
		{"app.toml", "$snake = \"$V\"\n", nil},
		{"app.toml", "db = { user = \"app\", $kebab = '$V' }\n", nil},
		{"app.ini", "[db]\n$snake = $V\n", nil},
		{"app.conf", "$snake \"$V\";\n", nil},
		{"app.conf", "$snake $V\n", nil},
		{"app.properties", "$dotted: $V\n", nil},
		{"app.properties", "$dotted = $V\n", nil},
		{"app.json", "{\"$camel\": \"$V\"}\n", inJSON},
		{"app.json", "{\"name\":\"$UPPER\",\"value\":\"$V\"}\n", inJSON},
		{"app.json", "{\"ParameterKey\": \"$Camel\", \"ParameterValue\": \"$V\"}\n", inJSON},
		{"app.json", "{\"key\": \"$dotted\",\n \"value\": \"$V\"}\n", inJSON},
		{"app.json5", "{$camel: '$V',}\n", nil},
		{"app.xml", "<$camel>$V</$camel>\n", inXML},
		{"app.xml", "<db user=\"app\" $camel=\"$V\"/>\n", inXML},
		{"app.xml", "<property name=\"$camel\" value=\"$V\"/>\n", inXML},
		{"app.xml", "<property name=\"$camel\"><value>$V</value></property>\n", inXML},
		{"app.xml", "<string name=\"$snake\">$V</string>\n", inXML},
		{"app.xml", "<$camel><![CDATA[$V]]></$camel>\n", nil},
		{"web.config", "<add key=\"$Camel\" value=\"$V\" />\n", inXML},
		{"Info.plist", "<key>$camel</key>\n<string>$V</string>\n", inXML},
		{"main.tf", "  $snake = \"$V\"\n", nil},
		{"main.tf", "variable \"$snake\" {\n  type = string\n  default = \"$V\"\n}\n", nil},
		{"terraform.tfvars", "$snake=\"$V\"\n", nil},
		{"Dockerfile", "ENV $UPPER $V\n", nil},
		{"Dockerfile", "ENV A=b \\\n    $UPPER=$V\n", nil},
		{"Dockerfile", "ARG $UPPER=$V\n", nil},
		{"ci.yml", "jobs:\n  a:\n    env:\n      $UPPER: $V\n", nil},
		{"ci.yml", "      run: deploy --$kebab=$V\n", nil},
		{"ci.yml", "      run: echo \"$UPPER=$V\" >> $GITHUB_ENV\n", nil},
		{"run.sh", "deploy --$kebab $V --force\n", nil},
		{"run.sh", "docker run -e $UPPER=$V image\n", nil},
		{"run.sh", "$UPPER=\"$V\" ./run\n", nil},
		{"run.sh", "kubectl create secret generic a --from-literal=$kebab=$V\n", nil},
		{"run.sh", "helm install a b --set auth.$camel=$V\n", nil},
		{"run.sh", "heroku config:set $UPPER=$V\n", nil},
		{"run.sh", "aws ssm put-parameter --name /app/$snake --value \"$V\" --type SecureString\n", nil},
		{"run.sh", "curl -d '{\"$camel\":\"$V\"}' https://api.local\n", inJSON},
		{"run.sh", "curl -d '$snake=$V' https://api.local\n", inURL},
		{"run.sh", "read -r x <<'EOF'\n$UPPER=$V\nEOF\n", nil},
		{"app.service", "[Service]\nEnvironment=\"$UPPER=$V\"\n", nil},
		{"app.service", "[Service]\nEnvironment=$UPPER=$V\n", nil},
		{"Vagrantfile", "    config.vm.$snake = \"$V\"\n", nil},
		{"app.http", "POST /login\n\n$snake=$V&next=1\n", inURL},
		{"access.log", "GET /a?x=1&$snake=$V HTTP/1.1\n", inURL},
		{"app.log", "2026-01-01 INFO connecting with $camel=$V\n", nil},
		{"app.log", "2026-01-01 DEBUG body={\\\"$camel\\\":\\\"$V\\\"}\n", nil},
		{"README.md", "```\nexport $UPPER=$V\n```\n", nil},
		{"README.md", "The $words is `$V`.\n", nil},
		{"README.md", "| $words | $V |\n", nil},
		{"notes.txt", "$words: $V\n", nil},
		{"page.html", "<input type=\"hidden\" name=\"$snake\" value=\"$V\">\n", inXML},
		{"page.html", "<script>var $camel = '$V';</script>\n", nil},
		{"a.ipynb", "{\"cells\":[{\"source\":[\"import os\\n\",\"$snake = \\\"$V\\\"\\n\"]}]}\n", nil},
		{"seed.csv", "name,value\n$snake,$V\n", nil},
		{"access.log", "GET /a?next=https%3A%2F%2Fapi.local%2F%3F$snake%3D$V%26x%3D1 HTTP/1.1\n", inURL},
		// encoded and joined
		{"app.js", "const $camel = '$V';\n", halves("' +\n  '")},
		{"Main.java", "String $camel = \"$V\";\n", halves("\" + \"")},
		{"app.py", "$snake = (\"$V\")\n", halves("\"\n    \"")},
		{"app.php", "$$snake = '$V';\n", halves("' . '")},
		{"app.vb", "Dim $camel = \"$V\"\n", halves("\" & \"")},
		{"app.lua", "$snake = \"$V\"\n", halves("\" .. \"")},
		{"app.go", "$camel := \"$V\"\n", halves("\" +\n\t\t\"")},
		{"app.c", "const char *$snake = \"$V\";\n", halves("\"\n  \"")},
		{"app.rb", "$snake = '$V'\n", halves("' \\\n  '")},
		{"app.hs", "$camel = \"$V\"\n", halves("\" ++ \"")},
		{"app.ex", "$snake = \"$V\"\n", halves("\" <> \"")},
		{"app.sql", "set $snake = '$V'\n", halves("' || '")},
		{"app.py", "$snake = base64.b64decode(\"$V\")\n", inBase64},
		{"app.yaml", "apiVersion: v1\nkind: Secret\ndata:\n  $kebab: $V\n", inBase64},
		{"app.js", "const $camel = atob('$V')\n", inBase64},
		{"app.go", "$camel, _ := hex.DecodeString(\"$V\")\n", inHex},
		{"app.json", "{\"env\":\"$V\"}\n", func(s string) string { return inBase64("DB_PASSWORD=" + s) }},
	}
}

// connections are forms that need no telling name.
func connections() []form {
	return []form{
		{"app.yml", "url: postgresql://app:$V@db.internal:5432/shop\n", inURL},
		{"app.py", "engine = create_engine('mysql+pymysql://app:$V@10.0.0.4/shop')\n", inURL},
		{".env", "REDIS_URL=redis://:$V@cache:6379/0\n", inURL},
		{".env", "MONGO=mongodb+srv://app:$V@cluster0.ab1cd.mongodb.net/shop\n", inURL},
		{".env", "BROKER=amqps://app:$V@mq/%2f\n", inURL},
		{"app.cs", "var c = \"Server=db;Database=shop;User Id=app;Password=$V;Encrypt=true\";\n", nil},
		{"appsettings.json", "{\"ConnectionStrings\":{\"Db\":\"Host=db;Username=app;Password=$V;Database=x\"}}\n", inJSON},
		{"app.cs", "\"Server=db;Uid=app;Pwd=$V;\"\n", nil},
		{"app.properties", "url=jdbc:mysql://db/shop?user=app&password=$V\n", inURL},
		{"app.properties", "url=jdbc:sqlserver://db;user=app;password=$V;encrypt=true\n", nil},
		{"app.java", "DriverManager.getConnection(\"jdbc:postgresql://db/shop\", \"app\", \"$V\");\n", nil},
		{"app.py", "conn = psycopg2.connect(\"dbname=shop user=app password=$V host=db\")\n", nil},
		{"run.sh", "curl -u admin:$V https://api.local/v1\n", nil},
		{"run.sh", "curl --user 'admin:$V' https://api.local/v1\n", nil},
		{"run.sh", "mysql -u root -p$V shop\n", nil},
		{"run.sh", "mysqldump --user=root --password=$V shop\n", nil},
		{"run.sh", "PGPASSWORD=$V psql -h db -U app\n", nil},
		{"run.sh", "sshpass -p '$V' ssh root@host\n", nil},
		{"run.sh", "redis-cli -h cache -a $V ping\n", nil},
		{"run.sh", "echo '$V' | docker login -u app --password-stdin\n", nil},
		{"run.sh", "docker login -u app -p $V registry.local\n", nil},
		{"run.sh", "git clone https://app:$V@git.local/x.git\n", inURL},
		{"run.sh", "wget --user=app --password='$V' https://host/file\n", nil},
		{"run.sh", "mongosh --username app --password $V\n", nil},
		{"run.sh", "openssl enc -aes-256-cbc -pass pass:$V -in a -out b\n", nil},
		{"run.sh", "smbclient //host/share -U app%$V\n", nil},
		{"run.sh", "net use Z: \\\\host\\share $V /user:app\n", nil},
		{"run.sh", "echo \"app:$V\" | chpasswd\n", nil},
		{"run.sh", "htpasswd -bc .htpasswd app $V\n", nil},
		{"run.sh", "keytool -genkey -storepass $V -keypass $V\n", nil},
		{"run.sh", "ldapsearch -D cn=admin -w $V -b dc=x\n", nil},
		{"run.sh", "sqlcmd -S db -U sa -P '$V'\n", nil},
		{".netrc", "machine api.local login app password $V\n", nil},
		{".netrc", "machine api.local\n  login app\n  password $V\n", nil},
		{".pgpass", "db:5432:shop:app:$V\n", nil},
		{".npmrc", "//registry.local/:_password=$V\n", inBase64},
		{".npmrc", "_auth=$V\n", func(s string) string { return inBase64("app:" + s) }},
		{".pypirc", "[local]\nusername: app\npassword: $V\n", nil},
		{".my.cnf", "[client]\nuser=root\npassword=$V\n", nil},
		{".git-credentials", "https://app:$V@git.local\n", inURL},
		{"config.json", "{\"auths\":{\"registry.local\":{\"auth\":\"$V\"}}}\n", func(s string) string { return inBase64("app:" + s) }},
		{"settings.xml", "<server><id>a</id><username>app</username><password>$V</password></server>\n", inXML},
		{"unattend.xml", "<AdministratorPassword><Value>$V</Value><PlainText>true</PlainText></AdministratorPassword>\n", inXML},
		{"kubeconfig", "users:\n- name: a\n  user:\n    username: app\n    password: $V\n", nil},
		{"tomcat-users.xml", "<user username=\"admin\" password=\"$V\" roles=\"manager\"/>\n", inXML},
		{"app.sql", "CREATE USER 'app'@'%' IDENTIFIED BY '$V';\n", nil},
		{"app.sql", "CREATE ROLE app LOGIN PASSWORD '$V';\n", nil},
		{"app.sql", "ALTER USER app WITH PASSWORD '$V';\n", nil},
		{"a.http", "Authorization: Basic $V\n", func(s string) string { return inBase64("app:" + s) }},
		{"a.py", "requests.get(u, auth=('app', '$V'))\n", nil},
		{"a.js", "axios.get(u, { auth: { username: 'app', password: '$V' } })\n", nil},
		{"wpa.conf", "network={\n  ssid=\"office\"\n  psk=\"$V\"\n}\n", nil},
		{"redis.conf", "requirepass $V\n", nil},
		{"slapd.conf", "rootpw $V\n", nil},
		{"app.yaml", "basicAuth:\n  username: app\n  password: $V\n", nil},
		{"app.js", "nodemailer.createTransport({auth:{user:'a@b.kr',pass:'$V'}})\n", nil},
		{"cifs", "//h/s /mnt cifs username=app,password=$V,uid=0 0 0\n", nil},
	}
}

// spelled is name, given as words with blanks, in a form's case.
func spelled(text, name string) string {
	words := strings.Fields(name)
	camel := words[0]
	for _, w := range words[1:] {
		camel += strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.NewReplacer("$words", name, "$camel", camel, "$Camel", strings.ToUpper(camel[:1])+camel[1:], "$snake", strings.Join(words, "_"),
		"$UPPER", strings.ToUpper(strings.Join(words, "_")), "$kebab", strings.Join(words, "-"), "$dotted", strings.Join(words, ".")).Replace(text)
}

// write is the form with a name and a value.
func (f form) write(name, value string) string {
	if f.escape != nil {
		value = f.escape(value)
	}
	return strings.ReplaceAll(spelled(f.text, name), "$V", value)
}

// passwords are as people and generators make them.
func passwords(r *rand.Rand) []string {
	pick := func(n int, alphabet string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	words := strings.Fields("Mango River Falcon Copper Winter Saturn Marble Tiger Velvet Rocket Harbor Lemon Cedar Pepper Orbit")
	word := func() string { return words[r.IntN(len(words))] }
	const letters, all = "abcdefghjkmnpqrstuvwxyz", "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
	return []string{
		word() + pick(4, "0123456789") + "!",
		word() + "@" + pick(3, "0123456789") + word(),
		pick(12, all),
		pick(10, all) + pick(1, "!@^*") + pick(4, all),
		pick(20, all),
		strings.ToLower(word()) + pick(4, letters+"0123456789") + "9X",
	}
}

// tokens are of no provider.
func tokens(r *rand.Rand) []string {
	const alnum, hexa = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "0123456789abcdef"
	pick := func(n int, alphabet string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	return []string{pick(32, alnum), pick(40, hexa), pick(43, alnum+"_-"), pick(64, hexa), pick(24, alnum)}
}

// decoys are values that are no secrets, whatever they are called.
func decoys(r *rand.Rand) []string {
	return []string{
		"changeme", "<your password>", "YOUR_TOKEN_HERE", "********", "xxxxxxxxxxxxxxxxxxxxxxxx", "replace-me-please", "todo", "null", "example-token",
		"${DB_PASSWORD}", "{{ .Values.auth.token }}", "$(cat /run/secrets/x)", "%{hiera('db')}", "#{ENV['X']}", "{{ lookup('env', 'X') }}", "@Microsoft.KeyVault(SecretUri=https://v/x)",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf", "vault:secret/data/app#password", "op://vault/item/field", "projects/p/secrets/s/versions/1", "ssm:/app/prod/db",
		"AQICAHh" + "placeholder", "ENC[AES256_GCM,data:p673w==,iv:YY=,tag:UQ=,type:str]", "/run/secrets/db_password", "./config/token.txt", "https://auth.local/oauth/token", "application/json",
		"userPasswordResetForm", "PasswordEncoderFactory", "access_token_required", "Enter your password", "string", "required", "true", "com.acme.auth.TokenProvider",
		"20a62c2e-735f-44c4-af46-86ad8284a87b", "password", "secret", "none", "my-secret-name", "app-db-credentials", "bearer", "AKIAIOSFODNN7EXAMPLE",
	}
}

// hashNames are names whose values are digests, ids and the like, however they look.
func hashNames() []string {
	return []string{"token hash", "password digest", "key checksum", "commit sha", "secret version id", "token id", "key fingerprint", "public key", "password hash algorithm", "secret arn", "token type", "token url", "password policy", "csrf token field", "key name", "image digest"}
}

// names say what their values are.
func names() (password, token []string) {
	return []string{"db password", "smtp passwd", "admin pwd", "keystore password", "ldap bind password", "redis pass", "user password"},
		[]string{"api key", "auth token", "client secret", "secret key", "access token", "signing secret", "webhook secret", "encryption key"}
}

// The engine finds made-up secrets in forms and under names that no rule and no
// labelled set was written after, and leaves what is none.
func TestHoldout(t *testing.T) {
	s := secret.New(nil)
	r := rand.New(rand.NewPCG(20260101, 6))
	var sc score
	missed, false_ := map[string]int{}, map[string]int{}
	hit := func(f form, text string) bool {
		return len(s.Check(f.path, []byte(text))) > 0
	}
	forPasswords, forTokens := names()
	for _, f := range assignments() {
		for i, v := range append(passwords(r), tokens(r)...) {
			name := forPasswords[r.IntN(len(forPasswords))]
			if i >= 6 {
				name = forTokens[r.IntN(len(forTokens))]
			}
			sc.total++
			if text := f.write(name, v); hit(f, text) {
				sc.met++
			} else {
				missed[f.path+" "+f.text]++
				sc.miss("missed: %s: %q", f.path, text)
			}
		}
		for _, v := range decoys(r) {
			name := append(forPasswords, forTokens...)[r.IntN(len(forPasswords)+len(forTokens))]
			if text := f.write(name, v); hit(f, text) {
				sc.wrong++
				false_[v]++
				sc.miss("false: %s: %q", f.path, text)
			}
		}
		for _, name := range hashNames() {
			v := tokens(r)[r.IntN(5)]
			if strings.HasPrefix(f.path, "app.yaml") || strings.Contains(f.text, "SecureString '") || f.escape != nil && strings.Contains(f.text, "env") {
				continue // all values of a Secret are secrets
			}
			if text := f.write(name, v); hit(f, text) {
				sc.wrong++
				false_[name]++
				sc.miss("false: %s: %q", f.path, text)
			}
		}
	}
	for _, f := range connections() {
		for _, v := range passwords(r) {
			sc.total++
			if text := f.write("x", v); hit(f, text) {
				sc.met++
			} else {
				missed[f.path+" "+f.text]++
				sc.miss("missed: %s: %q", f.path, text)
			}
		}
		for _, v := range []string{"$PASSWORD", "${PASSWORD}", "changeme", "<password>", "{{ password }}", "********", "password", "%s"} {
			if f.escape != nil && strings.HasPrefix(f.write("x", "%"), "x") {
				continue
			}
			if text := f.write("x", v); hit(f, text) {
				sc.wrong++
				false_[f.text+" "+v]++
				sc.miss("false: %s: %q", f.path, text)
			}
		}
	}
	precision, recall := float64(sc.met)/float64(max(1, sc.met+sc.wrong)), float64(sc.met)/float64(max(1, sc.total))
	t.Logf("held out: %d of %d, precision %.3f, recall %.3f", sc.met, sc.total, precision, recall)
	if os.Getenv("HOLDOUT") != "" {
		for _, m := range []map[string]int{missed, false_} {
			var keys []string
			for k := range m {
				keys = append(keys, k)
			}
			sort.Slice(keys, func(i, j int) bool { return m[keys[i]] > m[keys[j]] })
			for _, k := range keys {
				fmt.Printf("%3d %q\n", m[k], k)
			}
			fmt.Println("----")
		}
		if os.Getenv("HOLDOUT") == "all" {
			fmt.Println(strings.Join(sc.unmet, "\n"))
		}
	}
	if precision < .97 || recall < .95 {
		t.Errorf("precision %.3f, recall %.3f", precision, recall)
	}
	_ = finding.High
}
