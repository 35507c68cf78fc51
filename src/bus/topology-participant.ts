/**
 * A thread's or loop's part in a change of the topology. The change comes as messages, between two guest instructions of
 * a vCPU and between two bottom halves of a loop; the last of them makes the next version, hands it over and answers.
 * Until then the participant uses the old version whole, from then on the new one.
 *
 * The answer goes through the same channel as the accesses did, behind all that were made with the old version: the
 * owner's argument (topology-owner.ts) stands on that.
 */
import { type AccessOrigin, type Link, type RegisterWindow, remoteRegisterWindow } from '../actor/index.ts';
import type { Channel } from '../channel/channel.ts';
import { assert } from '../util/errors.ts';
import type { Region } from './address-space.ts';
import { OPEN_BUS, type ParticipantRole, type TopologyPart, type WirePiece } from './topology-message.ts';
import { type AddressViews, nextViews } from './topology-views.ts';
import { openBusWindow } from './window.ts';

export interface TopologyParticipantOptions {
  /** To the owner's thread. */
  readonly link: Link;
  /** The one the link uses. */
  readonly channel: Channel;
  readonly role: ParticipantRole;
  /** Of what never changes. */
  readonly views: AddressViews;
  /**
   * Puts the next version in the place of the old one, at once.
   * @param flush whether kept translations must go: never for a change of windows alone, since a TLB holds RAM only
   */
  swap(views: AddressViews, flush: boolean): void;
  /** Of the loop, when its devices do DMA. */
  readonly origin?: AccessOrigin;
}

export class TopologyParticipant {
  readonly #options: TopologyParticipantOptions;
  #views: AddressViews;
  #removed: string[] = [];
  #added: WirePiece[] = [];

  constructor(options: TopologyParticipantOptions) {
    this.#options = options;
    this.#views = options.views;
    options.link.on<TopologyPart>(`topology.${options.role}`, (part, token) => this.#take(part, token));
  }

  /** The version in use. */
  get views(): AddressViews {
    return this.#views;
  }

  #take(part: TopologyPart, token: number): void {
    this.#removed.push(...part.removed);
    this.#added.push(...part.added);
    if (!part.last) return;
    assert(token !== 0, 'the last part of a change wants an answer');
    const change = {
      version: part.version,
      removed: new Set(this.#removed),
      added: this.#added.map((piece) => ({ space: piece.space, region: this.#region(piece) })),
    };
    this.#removed = [];
    this.#added = [];
    this.#views = nextViews(this.#views, change);
    this.#options.swap(this.#views, part.flush);
    this.#options.link.reply(token, null);
  }

  #region(piece: WirePiece): Region {
    const { name, base, lengthBytes, windowOffset } = piece;
    return { name, kind: 'mmio', base, lengthBytes, windowOffset, window: this.#window(piece) };
  }

  #window({ windowId, windowOffset, lengthBytes, posted }: WirePiece): RegisterWindow {
    const end = windowOffset + lengthBytes;
    if (windowId === OPEN_BUS) return openBusWindow(end);
    const { channel, origin } = this.#options;
    return remoteRegisterWindow(channel, windowId, end, origin === undefined ? { posted } : { posted, origin });
  }
}
