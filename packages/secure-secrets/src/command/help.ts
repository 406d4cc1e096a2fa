export const HELP = `Migrates secrets of the Python program "Secure Secrets" to keyfold envelopes.

Usage: secure-secrets migrate --project NAME [options] [FILE]

Reads JSON lines from FILE, or from standard input, and writes JSON lines.
In:  {"id": 1, "encrypted_dek": "gAAAAA…", "salt": "…", "encrypted_secret": "gAAAAA…"}
     salt is base64 or hex. "context" may be an object of texts: the encryption
     context of the envelope, which is needed again to open it.
Out: {"id": 1, "envelope": "kf1.…"}

Options:
  --project NAME             project_unique_str of the Python program
  --keyfold-project NAME     project of the envelopes; the same by default
  --context KEY=VALUE        encryption context of lines without one; {id} in VALUE
                             stands for the line's id. May be repeated
  --no-context               lines without a context get the empty one
  --master-secret-env NAME   variable with the old master key;
                             SECURE_SECRETS_MASTER_KEY by default
  --master-secret-file PATH  file with it, instead; one line break at its end is not part of it
  -o, --output PATH          write to a new file instead of standard output
  --resume                   go on with the file: leave out what is in it already
  --errors PATH              write what was refused to a file, anew in each run
  -h, --help                 print this

Environment:
  KEYFOLD_MASTER_KEY         URIs of the master keys that seal, with spaces between them:
                             aws-kms://…, gcp-kms://…, azure-keyvault://…, file:PATH, env:NAME
  SECURE_SECRETS_MASTER_KEY  the old master key

Exit status: 0 all migrated, 1 some records refused, 2 wrong usage, 3 could not go on,
130 interrupted. After 1, 3 and 130, and after a crash, the same command with --resume goes on.
`;
