// An OpenID provider on loopback, made of the npm package "oidc-provider".
//
// Listens on a free port and says so in one JSON line. After that it answers each line on standard input with one
// JSON line: the key ids that it publishes and how often its two public documents were asked for. The lines are
//   status    changes nothing
//   soft      new keys sign, the old ones stay published
//   hard      new keys sign, the old ones are gone
//   same-kid  new keys sign under the ids of the old ones
// It ends when standard input is closed, so that it cannot outlive the tests.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

const DISCOVERY = '/.well-known/openid-configuration';
const KEYS = '/jwks';

// Ed25519 is the fully specified name of EdDSA over that curve (RFC 9864); its key stands beside the others so that
// a verifier meets a set in which not every key is for it.
const GENERATORS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519'],
  Ed25519: ['ed25519'],
};
const ALGORITHMS = Object.keys(GENERATORS);

// The audience of an access token for each resource. The second one names the client itself, as an id_token does.
const AUDIENCES = {
  'https://api.example': () => 'https://api.example',
  'https://self.example': (client) => client.clientId,
};

const randomName = () => randomBytes(6).toString('hex');

// One private key for each algorithm, under the given ids or under new ones.
function makeKeys(kids = new Map()) {
  return ALGORITHMS.map((alg) => {
    const { privateKey } = generateKeyPairSync(...GENERATORS[alg]);
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: kids.get(alg) ?? randomName() };
  });
}

function makeProvider(issuer, keys) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: ALGORITHMS.map((alg) => ({
      client_id: `client-${alg}`,
      client_secret: 'not-secret',
      redirect_uris: ['http://127.0.0.1:1/signed-in'], // only read, never followed
      id_token_signed_response_alg: alg,
    })),
    cookies: { keys: [randomName()] },
    pkce: { required: () => false },
    conformIdTokenClaims: false, // the claims of the scopes go into the id_token
    claims: { openid: ['sub'], profile: ['name', 'updated_at'], email: ['email', 'email_verified'] },
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    ttl: { AccessToken: 300, Grant: 300, IdToken: 300, Interaction: 300, Session: 300 },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: 'Grace Hopper',
        updated_at: 1700000000,
        email: `${id}@navy.example`,
        email_verified: true,
      }),
    }),
    features: {
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context, resource, client) => ({
          scope: 'openid',
          audience: AUDIENCES[resource](client),
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.idTokenSignedResponseAlg } },
        }),
      },
    },
  });
}

const requests = { discovery: 0, keys: 0 };
let handler;

const server = createServer((request, response) => {
  if (request.url === DISCOVERY) requests.discovery += 1;
  if (request.url === KEYS) requests.keys += 1;
  handler(request, response);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

// Of several keys for one algorithm the first one signs. The package takes its keys when a provider is built, so new
// keys mean a new provider; grants and sessions are kept in memory that all of them share.
let published;
function publish(keys) {
  published = keys;
  handler = makeProvider(issuer, keys).callback();
}

const changes = {
  status: () => {},
  soft: () => publish([...makeKeys(), ...published]),
  hard: () => publish(makeKeys()),
  'same-kid': () => {
    const signing = published.slice(0, ALGORITHMS.length);
    publish(makeKeys(new Map(signing.map((key) => [key.alg, key.kid]))));
  },
};

publish(makeKeys());
console.log(JSON.stringify({ issuer }));

for await (const line of createInterface({ input: process.stdin })) {
  changes[line]();
  console.log(JSON.stringify({ kids: published.map((key) => key.kid), requests }));
}
process.exit(0);
